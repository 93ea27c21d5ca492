//! What a file keeps to itself is told by no answer (row OP04).

use crate::harness::{ADMIN, Admin, Folder, Process, TOKEN, free_port};

#[test]
fn op04_no_answer_has_a_secret_of_the_file() {
    const SECRETS: [&str; 4] = [
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "plain-to-see",
        "key=hidden",
        TOKEN,
    ];
    let [digest, password, ..] = SECRETS;
    let folder = Folder::new();
    let config = format!(
        "\
server: {{port: {}, address: 127.0.0.1}}
tenants:
  - name: office
    path_prefix: /office/
    basic_auth: {{users: [{{name: ann, password: '{digest}'}}, {{name: bob, password: {password}}}]}}
    services:
      - {{name: api, url: 'http://127.0.0.1:{}/?key=hidden', health: /health}}
",
        free_port(),
        free_port()
    );
    let path = folder.write("tenants.yaml", &config);
    let arguments = [&["run", "-c", path.to_str().expect("UTF-8")][..], &ADMIN].concat();
    let process = Process::start(&arguments);
    process.stderr.wait_after(0, "generation 1 in force");
    let mut admin = Admin::of(&process);
    for target in [
        "/config",
        "/status",
        "/metrics",
        "/admin/tenants",
        "/admin/tenants/office/health",
    ] {
        let answer = admin.get(target);
        assert!(matches!(answer.status, 200 | 503), "{target}: {answer:?}");
        let text = String::from_utf8(answer.body).expect("text");
        assert!(text.contains("office"), "{target}: {text}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{target} tells {secret}: {text}");
        }
    }
    let log = process.stderr.text();
    for secret in SECRETS {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
