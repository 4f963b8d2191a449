//! Programs from Debian's packages.

use crate::install::{made, says};
use crate::process;
use crate::tally::Tally;

/// Installs the packages of the programs that are missing, as root with apt at hand; otherwise
/// prints the line to run and skips.
pub(super) fn programs(programs: &[(&str, &str)], tally: &mut Tally) {
    let mut packages: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| process::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !has_venv() {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return;
    }
    let names = packages.join(" ");
    if let Err(why) = install(&names) {
        tally.skip(&format!("what needs {names}"), &why);
    }
}

/// Debian splits the module that makes virtual environments from its Python.
fn has_venv() -> bool {
    says("python3", &["-c", "import ensurepip, venv"]).is_some()
}

fn install(names: &str) -> Result<(), String> {
    let by_hand = format!("run: sudo apt-get install --no-install-recommends {names}");
    if process::find("apt-get").is_none() {
        return Err(format!("there is no apt-get here to install {names}"));
    }
    if says("id", &["-u"]).as_deref() != Some("0") {
        return Err(format!("not root, so nothing was installed; {by_hand}"));
    }
    println!("installing Debian packages: {names}");
    // In run level 1 the packages' services are installed but not started: the tests start
    // their own, on ports of their own.
    let script = format!(
        "export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive; apt-get update -qq; \
         apt-get install -y -qq --no-install-recommends {names} >/dev/null"
    );
    made("sh", &["-c", &script]).map_err(|_| format!("apt-get failed; {by_hand}"))
}
