//! What becomes of a test where something is missing.
//!
//! This program starts itself: then it is a test program of one test, which
//! needs what the environment says. `npm`, `node`, `uv` and `python3` are
//! small scripts, and all that is on the PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};

use harness::browser::until;
use harness::needs::{self, Need};
use serde_json::json;
use tempfile::TempDir;

/// Names what the one test needs.
const CHILD: &str = "TEST_OF_NEEDS";
/// What a test says that has run.
const RAN: &str = "test it_runs ... ok";

fn main() -> ExitCode {
    if env::args_os().next().is_some_and(|it| {
        Path::new(&it).file_name() == Some(OsStr::new("chromedriver"))
    }) {
        return chromedriver();
    }
    if let Ok(need) = env::var(CHILD) {
        let (kind, folder) = need.split_once(' ').unwrap_or((&need, ""));
        let folder = folder.to_owned().leak();
        let need = match kind {
            "npm" => Need::Npm(folder),
            "uv" => Need::Python(folder),
            "node" => Need::Node,
            "curl" => Need::Curl,
            "chromium" => Need::Chromium,
            other => panic!("{other}"),
        };
        return needs::run(vec![need].leak(), &harness::named![it_runs]);
    }
    let elsewhere: &[Need] = &[Need::Elsewhere("needs a shell")];
    let needs = if cfg!(unix) { &[] } else { elsewhere };
    needs::run(
        needs,
        &harness::named![
            two_at_once_fetch_once,
            a_fetch_outlives_who_asked_for_it,
            a_changed_lock_file_is_fetched_anew,
            a_half_is_not_taken_for_the_whole,
            what_was_installed_by_hand_is_used,
            what_is_not_run_is_not_fetched,
            a_fetch_that_fails_is_told_once_in_a_run,
            a_fetch_that_leaves_something_else_is_told,
            without_npm_it_says_so,
            a_node_that_is_too_old_is_told,
            with_ci_the_lack_is_a_failure,
            uv_fetches_once_and_again_if_python_is_gone,
            without_uv_pip_fetches_it,
            without_python_it_says_so,
            programs_that_do_not_run_are_told,
            a_driver_without_its_browser_is_told,
        ],
    )
}

fn it_runs() {}

/// What every script begins with: its own tools, its version, and a line in
/// the log for each other run of it.
const SCRIPT: &str = r#"#!/bin/sh
folder=${0%/*}/..
PATH=/usr/bin:/bin
if [ "$1" = --version ]; then echo "$VERSION"; exit; fi
echo "${0##*/}" >> "$folder/log"
"#;

const NPM: &str = "
rm -rf $folder/node_modules; mkdir $folder/node_modules
cp $folder/package-lock.json $folder/node_modules/.package-lock.json
";
/// As npm, if it waited for a file: half a minute at most.
const WAITS: &str = "
tries=0
while [ ! -e $folder/go ] && [ $tries -lt 600 ]; do
  tries=$((tries + 1)); sleep 0.05
done
";
const UV: &str = r#"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
printf '#!/bin/sh\necho Python 3.11.7\n' > "$UV_PROJECT_ENVIRONMENT/bin/python"
chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
"#;
/// Makes an environment with a pip that makes a uv.
const PYTHON: &str = r#"
mkdir -p "$4/bin"
cat > "$4/bin/python" << 'END'
#!/bin/sh
echo "pip $*" >> "$CARGO_TARGET_DIR/../log"
/bin/cp "$CARGO_TARGET_DIR/../uv" "${0%/*}/uv"
END
chmod +x "$4/bin/python"
"#;

/// A folder with lock files, and these programs.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new(programs: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let machine = Self { folder };
        machine.pin("1.0.0");
        for (name, script) in programs {
            machine.program(&format!("bin/{name}"), "v20.3.0", script);
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, version: &str, script: &str) {
        self.executable(name, &(SCRIPT.replace("$VERSION", version) + script));
    }

    /// Another process writes it. If this one did, a child that a test beside
    /// this one starts would have it open for a moment, too, and nobody can
    /// run what is open for writing.
    fn executable(&self, name: &str, text: &str) {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\"; chmod +x \"$0\""])
            .arg(self.path(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        assert!(shell.wait().unwrap().success());
    }

    /// Other versions in the lock files.
    fn pin(&self, version: &str) {
        let package = json!({ "version": version });
        let lock = json!({ "packages": {
            "": { "name": "peer" }, "node_modules/axe": package,
        } });
        fs::write(self.path("package-lock.json"), lock.to_string()).unwrap();
        fs::write(self.path("uv.lock"), version).unwrap();
    }

    /// A test program that needs this, in this folder.
    fn test(&self, need: &str) -> Command {
        let mut test = Command::new(env::current_exe().unwrap());
        test.env(CHILD, format!("{need} {}", self.path("").display()))
            .env("PATH", self.path("bin"))
            .env("CARGO_TARGET_DIR", self.path("built"))
            .env_remove("CI");
        test
    }

    fn start(&self, need: &str) -> Child {
        let mut test = self.test(need);
        test.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The programs that were run, in order.
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(ToOwned::to_owned).collect()
    }

    fn wait_for(&self, count: usize) {
        until("a run of a program", || self.log().len() == count);
    }
}

/// What it printed on stdout and on stderr, and that it ended well.
#[track_caller]
fn ended(output: Output) -> (String, String) {
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}{errors}");
    (told, errors)
}

#[track_caller]
fn runs(machine: &Machine, need: &str) {
    let (told, errors) = ended(machine.test(need).output().unwrap());
    assert!(told.contains(RAN), "{told}{errors}");
}

/// It is ignored, and the reason has that in it; in CI it fails for it.
#[track_caller]
fn is_ignored(machine: &Machine, need: &str, why: &str) {
    let (told, errors) = ended(machine.test(need).output().unwrap());
    let is_told = told.lines().any(|line| {
        line.starts_with("test it_runs ... ignored (") && line.contains(why)
    });
    assert!(is_told, "{why}: {told}{errors}");
    assert!(told.contains(" 0 passed; 0 failed; 1 ignored;"), "{told}");
    let output = machine.test(need).env("CI", "true").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{told}");
    assert!(told.lines().any(|line| line.contains(why)), "{why}: {told}");
    assert!(told.contains(" 0 passed; 1 failed; 0 ignored;"), "{told}");
}

fn two_at_once_fetch_once() {
    let npm = WAITS.to_owned() + NPM;
    let machine = Machine::new(&[("npm", &npm), ("node", "")]);
    let first = machine.start("npm");
    machine.wait_for(1);
    let second = machine.start("npm");
    stands_in_line(&second);
    fs::write(machine.path("go"), "").unwrap();
    let outputs = [first, second].map(|it| it.wait_with_output().unwrap());
    let [(first, fetches), (second, nothing)] = outputs.map(ended);
    assert!(first.contains(RAN) && second.contains(RAN), "{first}{second}");
    let lock_file = machine.path("package-lock.json");
    let line = format!("npm: fetches what {} pins\n", lock_file.display());
    assert_eq!([fetches, nothing], [line, String::new()]);
    assert_eq!(machine.log(), ["npm"]);
}

/// Waits until it has opened the lock; only Linux tells. Elsewhere it may be
/// late, and find all done.
fn stands_in_line(test: &Child) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let files = PathBuf::from(format!("/proc/{}/fd", test.id()));
    until("the second at the lock", || {
        fs::read_dir(&files).unwrap().flatten().any(|file| {
            let path = fs::read_link(file.path()).unwrap_or_default();
            path.ends_with("target/fetch.lock")
        })
    });
}

/// Nobody begins before the program that installs has ended.
fn a_fetch_outlives_who_asked_for_it() {
    let npm = WAITS.to_owned() + NPM;
    let machine = Machine::new(&[("npm", &npm), ("node", "")]);
    let mut first = machine.start("npm");
    machine.wait_for(1);
    first.kill().unwrap();
    first.wait().unwrap();
    let second = machine.start("npm");
    stands_in_line(&second);
    fs::write(machine.path("go"), "").unwrap();
    let (told, errors) = ended(second.wait_with_output().unwrap());
    assert!(told.contains(RAN), "{told}{errors}");
    assert_eq!(machine.log(), ["npm"]);
}

fn a_changed_lock_file_is_fetched_anew() {
    let machine = Machine::new(&[("npm", NPM), ("node", ""), ("uv", UV)]);
    for need in ["npm", "uv"] {
        let before = machine.log().len();
        for (version, runs_so_far) in [("2.0.0", 1), ("3.0.0", 2)] {
            machine.pin(version);
            for _ in 0..2 {
                runs(&machine, need);
                assert_eq!(machine.log().len() - before, runs_so_far);
            }
        }
    }
}

fn a_half_is_not_taken_for_the_whole() {
    let stops = |script: &str| format!("{script}exit 1\n");
    let machine = Machine::new(&[
        ("npm", "mkdir -p $folder/node_modules/axe\nexit 1\n"),
        ("node", ""),
        ("uv", &stops(UV)),
    ]);
    for (need, whole) in [("npm", NPM), ("uv", UV)] {
        is_ignored(&machine, need, " fails (exit status: 1)");
        machine.program(&format!("bin/{need}"), "v20.3.0", whole);
        // Another run, which begins afresh.
        let output = of_another_run(&machine.test(need));
        assert!(ended(output).0.contains(RAN));
    }
}

/// Whose parent is another process.
fn of_another_run(test: &Command) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "\"$0\"; exit $?"]).arg(test.get_program());
    for (name, value) in test.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.output().unwrap()
}

/// npm's own list tells, and no npm is needed.
fn what_was_installed_by_hand_is_used() {
    let machine = Machine::new(&[("node", "")]);
    fs::create_dir(machine.path("node_modules")).unwrap();
    let list = r#"{ "name": "peer", "lockfileVersion": 3, "packages": {
        "node_modules/axe": { "version": "1.0.0" } } }"#;
    let file = machine.path("node_modules/.package-lock.json");
    fs::write(&file, list).unwrap();
    runs(&machine, "npm");
    // As `npm ci --omit=dev` leaves it.
    fs::write(&file, r#"{ "packages": {} }"#).unwrap();
    is_ignored(&machine, "npm", "no npm: install npm (");
}

fn what_is_not_run_is_not_fetched() {
    let machine = Machine::new(&[("npm", NPM), ("node", "")]);
    for argument in ["--list", "another"] {
        ended(machine.test("npm").arg(argument).output().unwrap());
    }
    assert_eq!(machine.log(), [""; 0]);
    assert!(!machine.path("target").exists());
}

fn a_fetch_that_fails_is_told_once_in_a_run() {
    let npm = "echo 'npm error code EAI_AGAIN' >&2; exit 1\n";
    let machine = Machine::new(&[("npm", npm), ("node", "")]);
    for _ in 0..2 {
        is_ignored(&machine, "npm", " fails (npm error code EAI_AGAIN)");
        // The other test programs of this run do not wait for it, too.
        assert_eq!(machine.log(), ["npm"]);
    }
    ended(of_another_run(&machine.test("npm")));
    assert_eq!(machine.log(), ["npm", "npm"]);
}

fn a_fetch_that_leaves_something_else_is_told() {
    let machine = Machine::new(&[("npm", "exit 0\n"), ("node", "")]);
    let file = machine.path("package-lock.json");
    let why = format!("installed is not what {} pins", file.display());
    is_ignored(&machine, "npm", &why);
}

fn without_npm_it_says_so() {
    let machine = Machine::new(&[("node", "")]);
    is_ignored(&machine, "npm", "no npm: install npm (on Debian, ");
    let machine = Machine::new(&[("npm", NPM)]);
    let why = "no node: install Node.js 20.3 or newer (on Debian, ";
    is_ignored(&machine, "npm", why);
    is_ignored(&machine, "node", why);
    assert_eq!(machine.log(), [""; 0]);
}

fn a_node_that_is_too_old_is_told() {
    let machine = Machine::new(&[]);
    for version in ["v18.20.4", "v20.2.9", "v9.9.9", "", "nonsense"] {
        machine.program("bin/node", version, "");
        let why = format!("node --version says {version:?}: install Node.js ");
        is_ignored(&machine, "node", &why);
    }
    for version in ["v20.3.0", "v22.0.0", "v100.0.0-nightly"] {
        machine.program("bin/node", version, "");
        runs(&machine, "node");
    }
}

fn with_ci_the_lack_is_a_failure() {
    let machine = Machine::new(&[]);
    // `is_ignored` has the other half; empty text is as none.
    let (told, _) = ended(machine.test("curl").env("CI", "").output().unwrap());
    assert!(told.contains(" 1 ignored;"), "{told}");
    is_ignored(&machine, "curl", "no curl: install curl (");
    machine.program("bin/curl", "curl 8.0.0", "");
    let output = machine.test("curl").env("CI", "true").output().unwrap();
    assert!(ended(output).0.contains(RAN));
}

fn uv_fetches_once_and_again_if_python_is_gone() {
    let machine = Machine::new(&[("uv", UV)]);
    for _ in 0..2 {
        runs(&machine, "uv");
        assert_eq!(machine.log(), ["uv"]);
    }
    let python = machine.path("built/interop/python/bin/python");
    fs::remove_file(&python).unwrap();
    runs(&machine, "uv");
    assert_eq!(machine.log(), ["uv", "uv"]);
    assert!(python.exists());
}

fn without_uv_pip_fetches_it() {
    let machine = Machine::new(&[("python3", PYTHON)]);
    machine.program("uv", "uv 0.13.9", UV);
    for _ in 0..2 {
        runs(&machine, "uv");
    }
    let log = machine.log();
    assert_eq!(log[0], "python3");
    assert!(log[1].starts_with("pip -m pip install "), "{log:?}");
    assert!(log[1].contains(" uv=="), "{log:?}");
    // And then uv was run once. It is where its log is not.
    assert_eq!(log.len(), 2, "{log:?}");
}

fn without_python_it_says_so() {
    let machine = Machine::new(&[]);
    is_ignored(&machine, "uv", "no uv, and none from pip (no python3): ");
    // As Debian's without python3-venv.
    let script = "echo 'Error: ensurepip is not available' >&2; exit 1\n";
    let machine = Machine::new(&[("python3", script)]);
    let why = "(python3 -m venv: Error: ensurepip is not available): install";
    is_ignored(&machine, "uv", why);
}

/// As the shims of version managers, where no version is chosen.
fn programs_that_do_not_run_are_told() {
    let machine = Machine::new(&[("node", "")]);
    for (need, program) in [("curl", "curl"), ("node", "node"), ("npm", "npm")]
    {
        let shim = "#!/bin/sh\necho 'shim: no version is set' >&2\nexit 126\n";
        machine.executable(&format!("bin/{program}"), shim);
        let why = "--version fails (shim: no version is set): install";
        is_ignored(&machine, need, &format!("{program} {why}"));
        machine.program(&format!("bin/{program}"), "v20.3.0", "");
    }
}

const NO_SESSION: &str = "session not created: This version of ChromeDriver \
    only supports Chrome version 114\nCurrent browser version is 156.0";

/// A driver that has no browser it could start.
fn chromedriver() -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    println!("ChromeDriver was started successfully on port {port}.");
    let value = json!({ "value": {
        "error": "session not created", "message": NO_SESSION,
    } });
    let body = value.to_string();
    for socket in listener.incoming() {
        let mut socket = socket.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut piece = [0; 1024];
            let length = socket.read(&mut piece).unwrap();
            request.extend(&piece[..length]);
        }
        write!(
            socket,
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: {}\r\n\r\n\
             {body}",
            body.len()
        )
        .unwrap();
    }
    ExitCode::SUCCESS
}

fn a_driver_without_its_browser_is_told() {
    let machine = Machine::new(&[]);
    is_ignored(&machine, "chromium", "no chromedriver: install Chromium and ");
    machine.program("bin/chromedriver", "ChromeDriver 1", "exit 127\n");
    is_ignored(&machine, "chromium", "chromedriver tells no port: install ");
    let driver = machine.path("bin/chromedriver");
    fs::remove_file(&driver).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(env::current_exe().unwrap(), &driver).unwrap();
    let why = "only supports Chrome version 114\\nCurrent browser version is";
    is_ignored(&machine, "chromium", why);
    is_ignored(&machine, "chromium", "both of one version (on Debian, ");
}
