//! What is done to a program when its configuration has changed.

use std::{fs, net::TcpListener, path::Path};

use everwire_testkit::{need, tools, wait::eventually};

use super::{Folder, Manager, agent, says, shell, signal};

#[tokio::test]
async fn pred_k9_and_k12_restarts_never_overlap_and_a_burst_is_one() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    manager.change("s", &[("N", Some("0"))]);
    // Takes its time to end; two at once would see each other's folder.
    let script = format!(
        "mkdir {0} || echo DOUBLE; trap 'sleep 0.5; rmdir {0}; exit' TERM; echo \"n $N\"; \
         while :; do sleep 0.02; done",
        folder.0.join("running").display()
    );
    let mut agent = shell(&manager.url(), &["--set", "s", "--on", "restart"], &script);
    // The first changes come while the program is being started.
    for number in 1..=5 {
        manager.change("s", &[("N", Some(&number.to_string()))]);
    }
    says(&agent, "n 5", 1).await;
    for number in 6..=30 {
        manager.change("s", &[("N", Some(&number.to_string()))]);
        if number == 15 {
            says(&agent, "n 15", 1).await;
        }
    }
    says(&agent, "n 30", 1).await;
    signal(&agent, "TERM");
    assert!(agent.ended().await.success());
    let said = agent.stdout().complete().await;
    assert!(!said.contains(&"DOUBLE".to_owned()), "{said:?}");
    assert!(said.len() <= 5, "25 changes, few restarts: {said:?}");
}

#[tokio::test]
async fn pred_k20_a_key_that_is_deleted_is_gone_from_the_program() {
    let manager = Manager::start().await;
    manager.change("s", &[("A", Some("1"))]);
    let script = "echo \"A=${A-none}\"; exec sleep 1000";
    let agent = shell(&manager.url(), &["--set", "s", "--on", "restart"], script);
    says(&agent, "A=1", 1).await;
    manager.change("s", &[("A", None)]);
    says(&agent, "A=none", 1).await;
}

#[tokio::test]
async fn a_node_script_is_restarted_with_what_has_changed() {
    let node = need!(tools::node());
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("COLOR", Some("red"))]);
    let script = "process.on('SIGTERM', () => { console.log('bye'); process.exit(0); });\
                  console.log('color', process.env.COLOR); setInterval(() => {}, 1000);";
    let program = [node.to_str().unwrap(), "-e", script];
    let options = ["--set", "shop/prod", "--on", "restart"];
    let mut agent = agent(&manager.url(), &options, &program);
    says(&agent, "color red", 1).await;
    manager.change("shop/prod", &[("COLOR", Some("blue"))]);
    says(&agent, "color blue", 1).await;
    signal(&agent, "TERM");
    assert_eq!(agent.ended().await.code(), Some(0));
    let said = agent.stdout().complete().await;
    assert_eq!(said, ["color red", "bye", "color blue", "bye"]);
}

#[tokio::test]
async fn nginx_takes_over_what_has_changed_at_a_signal() {
    let nginx = need!(tools::nginx());
    let (manager, folder) = (Manager::start().await, Folder::new());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = |name: &str| folder.0.join(name).display().to_string();
    let configuration = format!(
        "daemon off; worker_processes 1; pid {}; error_log stderr notice;\n\
         events {{}}\nhttp {{ access_log off; {}\n\
         server {{ listen 127.0.0.1:{port}; return 200 \"version 1\"; }} }}\n",
        place("pid"),
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", place(kind)))
            .concat(),
    );
    let file = place("nginx.conf");
    fs::write(&file, &configuration).unwrap();
    let program = [nginx.to_str().unwrap(), "-p", folder.0.to_str().unwrap(), "-c", &file];
    let options = ["--set", "s", "--on", "signal:HUP"];
    let mut agent = agent(&manager.url(), &options, &program);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let answers = async |text: &str| {
        eventually(text, async || {
            tokio::net::TcpStream::connect(address).await.ok()?;
            let answer = everwire_testkit::http::request(address, "GET", "/", None).await;
            (answer.body == text).then_some(())
        })
        .await;
    };
    answers("version 1").await;
    let master = fs::read_to_string(Path::new(&place("pid"))).unwrap();
    fs::write(&file, configuration.replace("version 1", "version 2")).unwrap();
    manager.change("s", &[("A", Some("1"))]);
    answers("version 2").await;
    assert_eq!(fs::read_to_string(Path::new(&place("pid"))).unwrap(), master, "the same nginx");
    signal(&agent, "QUIT");
    assert_eq!(agent.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_file_is_there_before_the_program_and_written_anew_at_each_change() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    manager.change("s", &[("A", Some("1"))]);
    let file = folder.0.join("values.env");
    let action = format!("file:{}", file.display());
    let script = format!("cat {}; exec sleep 1000", file.display());
    let agent = shell(&manager.url(), &["--set", "s", "--on", &action], &script);
    says(&agent, "A=1", 1).await;
    manager.change("s", &[("A", Some("2"))]);
    let written = async || fs::read_to_string(&file).ok().filter(|text| text == "A=2\n");
    eventually("the file", written).await;
}

#[tokio::test]
async fn a_command_of_the_shell_is_told_what_has_changed_and_the_program_goes_on() {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    let action = "exec:echo \"changed $EVERWIRE_SET $EVERWIRE_VERSION $EVERWIRE_CHANGED $A\"";
    let options = ["--set", "shop/prod", "--on", action];
    let agent = shell(&manager.url(), &options, "echo begun; exec sleep 1000");
    says(&agent, "begun", 1).await;
    manager.change("shop/prod", &[("A", Some("2")), ("B", Some("1"))]);
    says(&agent, "changed shop/prod 2 A B 2", 1).await;
    assert_eq!(agent.stdout().all().len(), 2);
}
