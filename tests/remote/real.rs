//! Real servers on loopback: `git http-backend` behind nginx with fcgiwrap, plain and over TLS, and sshd. All
//! that git offers on a push is sent through each.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    RULES, author, fetch,
    git_servers::{Running, free_port},
    pushing::hook,
    served,
    servers::work_over,
    stage,
    support::{Repository, World, skipped},
    unsigned, upload,
};

/// Starts a server, and waits until it listens.
fn start(world: &World, program: &str, arguments: &[&str], port: Option<u16>) -> Running {
    let log = fs::File::create(world.path("server.log")).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", world.path("home"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let running = Running(child);
    let begun = Instant::now();
    while port.is_some_and(|port| TcpStream::connect(("127.0.0.1", port)).is_err()) {
        let log = fs::read_to_string(world.path("server.log")).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "{program} does not answer: {log}");
        thread::sleep(Duration::from_millis(20));
    }
    running
}

/// nginx with `git http-backend`; with TLS if there is a certificate. Its address.
fn nginx(world: &World, has_tls: bool) -> (Vec<Running>, String) {
    let socket = world.path("fcgi");
    let wrapper = start(world, "fcgiwrap", &["-c", "4", "-s", &format!("unix:{}", socket.display())], None);
    let begun = Instant::now();
    while !socket.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "fcgiwrap does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    let port = free_port();
    let core = world.run("git", &["--exec-path"]).any_stdout().check().text();
    let folder = world.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let tls = match has_tls {
        true => format!("ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;"),
        false => String::new(),
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/nginx-{name};\n"))
        .concat();
    let text = format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}client_max_body_size 0;\nserver {{\nlisten 127.0.0.1:{port}{};\n{tls}\n\
         location / {{\nfastcgi_pass unix:{};\nfastcgi_param SCRIPT_FILENAME {}/git-http-backend;\n\
         fastcgi_param GIT_PROJECT_ROOT {folder};\nfastcgi_param GIT_HTTP_EXPORT_ALL 1;\n\
         fastcgi_param PATH_INFO $uri;\nfastcgi_param QUERY_STRING $query_string;\n\
         fastcgi_param REQUEST_METHOD $request_method;\nfastcgi_param CONTENT_TYPE $content_type;\n\
         fastcgi_param CONTENT_LENGTH $content_length;\nfastcgi_param GIT_PROTOCOL $http_git_protocol;\n\
         fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;\nfastcgi_param REMOTE_USER somebody;\n\
         fastcgi_param REMOTE_ADDR $remote_addr;\n}}\n}}\n}}\n",
        if has_tls { " ssl" } else { "" },
        socket.display(),
        core.trim_end(),
    );
    let configuration = world.write("nginx.conf", text);
    let server = start(world, "nginx", &["-p", folder, "-c", configuration.to_str().unwrap()], Some(port));
    let scheme = if has_tls { "https" } else { "http" };
    (vec![server, wrapper], format!("{scheme}://localhost:{port}"))
}

/// sshd for the user of the test and nobody else; the address of the world's folder.
fn sshd(world: &World) -> (Running, String) {
    for name in ["host", "client"] {
        let path = world.path(name);
        world.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]).check();
    }
    let port = free_port();
    let path = |name: &str| world.path(name).display().to_string();
    let user = world.run("id", &["-un"]).any_stdout().check().text().trim_end().to_owned();
    let text = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nAcceptEnv GIT_PROTOCOL\n\
         SetEnv GIT_CONFIG_GLOBAL={} GIT_CONFIG_NOSYSTEM=1\n",
        path("host"),
        path("client.pub"),
        path("home/.gitconfig"),
    );
    let configuration = world.write("sshd_config", text);
    let program = "/usr/sbin/sshd";
    let running = start(world, program, &["-D", "-e", "-f", configuration.to_str().unwrap()], Some(port));
    let key = fs::read_to_string(world.path("host.pub")).unwrap();
    let known = world.write("known", format!("[127.0.0.1]:{port} {key}"));
    world.set(
        "GIT_SSH_COMMAND",
        &format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={}",
            path("client"),
            known.display()
        ),
    );
    (running, format!("ssh://{user}@127.0.0.1:{port}{}", world.path("").display()))
}

/// An authority of the test's own for TLS, and a certificate for this machine.
fn certificates(world: &World) {
    let openssl = |arguments: &[&str]| world.run("openssl", arguments).any_stdout().any_stderr().check();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let authority = ["req", "-x509", "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&authority[..], &curve].concat());
    let request = ["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &curve[..5]].concat());
    world.write("names", "subjectAltName = DNS:localhost\n");
    let signed =
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(&[&signed[..], &["-out", "server.pem", "-days", "2", "-extfile", "names"]].concat());
}

/// Everything that git offers on a push.
fn pushes_over(world: &World, address: &str) {
    let there = served(world);
    for (key, value) in [
        ("receive.advertisePushOptions", "true"),
        ("receive.certNonceSeed", "seed"),
        ("receive.certNonceSlop", "600"),
    ] {
        there.git(&["config", key, value]).check();
    }
    world.run("git", &["clone", "-q", &format!("verified::{address}"), "pusher"]).check();
    let ours = Repository::at(world, &world.path("pusher"));
    let push = |arguments: &[&str]| ours.git(&[&["push", "origin"], arguments].concat()).any_stderr();
    ours.commit("one");
    push(&["--dry-run", "main:dry"]).check();
    assert!(!there.has("dry"));

    hook(
        world,
        "echo \"options $GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\"\n\
         echo \"certificate $GIT_PUSH_CERT_STATUS $GIT_PUSH_CERT_NONCE_STATUS\"",
    );
    let words = push(&["--signed", "-o", "a b", "main"]).check().words();
    assert!(words.contains("remote: options 1 a b"), "{words}");
    let accepted = ["remote: certificate G OK", "remote: certificate G SLOP"];
    assert!(accepted.iter().any(|accepted| words.contains(accepted)), "{words}");
    assert_eq!(there.id("main"), ours.id("main"));

    hook(
        world,
        "while read old new ref; do [ $ref != refs/heads/no ] || { echo 'not this one'; exit 1; }; done",
    );
    let words = push(&["--atomic", "main:no", "main:yes"]).status(1).check().words();
    assert!(words.contains("remote: not this one") && words.contains("pre-receive hook declined"), "{words}");
    assert!(!there.has("yes"));
    push(&["--atomic", "main:a", "main:b"]).check();
    push(&[":a", "main:c"]).check();
    assert!(!there.has("a") && there.has("b") && there.has("c"));

    ours.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "amended"]).check();
    let words = push(&["main"]).status(1).check().words();
    assert!(words.contains("(non-fast-forward)"), "{words}");
    let words = push(&["--force-with-lease=main:0000000000000000000000000000000000000001", "main"]);
    assert!(words.status(1).check().words().contains("stale info"));
    push(&["--force-with-lease", "main"]).check();
    assert_eq!(there.id("main"), ours.id("main"));
    unsigned(&ours, "unsigned");
    let words = push(&["main"]).status(1).check().words();
    assert!(words.contains("it is not signed") && words.contains("(refused by the policy)"), "{words}");
}

/// Rules under which everything may happen to refs that the tests do.
fn rules() -> String {
    RULES.replace("create = \"allow\"", "create = \"allow\"\nrewind = \"allow\"\ndelete = \"allow\"")
}

#[test]
fn over_nginx_and_fcgiwrap() {
    let test = "over_nginx_and_fcgiwrap";
    if skipped(test, "nginx") || skipped(test, "fcgiwrap") {
        return;
    }
    let world = stage(RULES);
    let (_running, address) = nginx(&world, false);
    work_over(&world, &format!("{address}/served.git"));
    let world = stage(&rules());
    let (_running, address) = nginx(&world, false);
    pushes_over(&world, &format!("{address}/served.git"));
}

#[test]
fn over_tls_with_an_authority_of_ones_own() {
    let test = "over_tls_with_an_authority_of_ones_own";
    if skipped(test, "nginx") || skipped(test, "fcgiwrap") || skipped(test, "openssl") {
        return;
    }
    let world = stage(&rules());
    certificates(&world);
    let (_running, address) = nginx(&world, true);
    let address = format!("{address}/served.git");
    let stranger = world.run("git", &["clone", "-q", &format!("verified::{address}"), "ours"]).status(128);
    stranger.stderr_holds(&["ertificate", "error: git cannot read the refs of 'https://localhost:"]).check();
    world.configure(&format!("[http]\n sslCAInfo = {}", world.path("ca.pem").display()));
    world.run("git", &["clone", "-q", &format!("verified::{address}"), "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["it is not signed"]).check();
    upload(&author(&world), &["main~:main"]);
    pushes_over(&world, &address);
}

#[test]
fn over_sshd() {
    let test = "over_sshd";
    if skipped(test, "ssh-keygen") || skipped(test, "ssh") {
        return;
    }
    // Run by root it wants this folder, which whatever starts it as a service would have made.
    let _ = fs::create_dir("/run/sshd");
    if !Path::new("/usr/sbin/sshd").exists() {
        eprintln!("SKIPPED: {test}: sshd not found");
        return;
    }
    let world = stage(RULES);
    let (_running, address) = sshd(&world);
    work_over(&world, &format!("{address}/served.git"));
    let world = stage(&rules());
    let (_running, address) = sshd(&world);
    pushes_over(&world, &format!("{address}/served.git"));
}

#[test]
fn over_git_daemon_and_over_paths_everything_that_git_offers_on_a_push() {
    let world = stage(&rules());
    let (_running, address) = crate::git_servers::daemon(&world);
    pushes_over(&world, &format!("{address}/served.git"));
    let world = stage(&rules());
    pushes_over(&world, world.path("served.git").to_str().unwrap());
    let world = stage(&rules());
    pushes_over(&world, &format!("file://{}", world.path("served.git").display()));
}
