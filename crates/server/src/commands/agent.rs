//! `everwire agent`: any program as an instance of a fleet.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context;
use everwire_agent::{
    Agent, AgentBuilder, EndReason, Offline, OnRejection,
    sidecar::{Sidecar, SidecarError},
    supervise::{Program, become_child},
};

use crate::{
    cli::{AgentArgs, AgentChildArgs},
    failure::Failure,
    logging, terminal,
};

/// Runs the program to its end; its exit code is the command's.
pub(super) fn run(args: AgentArgs) -> Result<ExitCode, Failure> {
    let _log = logging::start_quietly();
    let through = std::env::current_exe().context("cannot find the binary of this process")?;
    let program = program(&args, through.into());
    let agent = agent(&args)?;
    // The token is the agent's business.
    let environment = std::env::vars_os().filter(|(name, _)| name != TOKEN);
    let say = |what: &str| terminal::complain(&format!("everwire agent: {what}"));
    let sidecar = Sidecar::new(agent, program, args.on, environment, say);
    // One thread: a program learns of the death of the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = runtime.context("cannot start the runtime")?.block_on(sidecar.run());
    code.map(ExitCode::from).map_err(failure)
}

/// The step between an agent and its program: becomes the program.
pub(super) fn become_program(args: &AgentChildArgs) -> ExitCode {
    let Some((program, arguments)) = args.program.split_first() else {
        return ExitCode::from(126);
    };
    let (code, why) = become_child(args.parent, program, arguments);
    terminal::complain(&format!("everwire agent: {why}"));
    ExitCode::from(code)
}

fn program(args: &AgentArgs, binary: OsString) -> Program {
    let mut words = args.program.iter().cloned();
    Program {
        through: vec![binary, CHILD.into()],
        program: words.next().unwrap_or_default(),
        arguments: words.collect(),
        grace: args.grace,
    }
}

fn agent(args: &AgentArgs) -> Result<AgentBuilder, Failure> {
    let agent = Agent::builder(url(&args.manager)?).app(&args.app).index(&args.index);
    let agent = args.id.iter().fold(agent, |agent, id| agent.id(id));
    let agent = args.label.iter().fold(agent, |agent, (name, value)| agent.label(name, value));
    let agent = args.app_version.iter().fold(agent, |agent, version| agent.version(version));
    let agent = args.set.iter().fold(agent, AgentBuilder::watch);
    let agent = args.token.iter().fold(agent, |agent, token| agent.token(token));
    let agent = args.state.iter().fold(agent, |agent, state| agent.state_dir(state));
    let on_rejection =
        if args.end_when_replaced { OnRejection::End } else { OnRejection::StayAway };
    let offline = Offline { without_state: args.offline_ok, ..Offline::default() };
    Ok(agent.offline(offline).on_rejection(on_rejection))
}

/// The manager's address with the path that fleets have by default, if it has none.
fn url(manager: &str) -> Result<String, Failure> {
    let uri: http::Uri = manager
        .parse()
        .map_err(|_| Failure::Usage(format!("--manager {manager}: it is not a URL")))?;
    let has_scheme = matches!(uri.scheme_str(), Some("http" | "https" | "ws" | "wss"));
    if !has_scheme {
        return Err(Failure::Usage(format!(
            "--manager {manager}: it must be like http://host:8080/fleet"
        )));
    }
    match uri.path() {
        "" | "/" if uri.query().is_none() => Ok(format!("{}/fleet", manager.trim_end_matches('/'))),
        _ => Ok(manager.to_owned()),
    }
}

fn failure(error: SidecarError) -> Failure {
    match &error {
        SidecarError::Agent(why) if matches!(**why, EndReason::Mistake(_)) => {
            Failure::Usage(error.to_string())
        }
        _ => Failure::failed(error),
    }
}

/// The name of the hidden command that is the step between.
const CHILD: &str = "agent-child";
const TOKEN: &str = "EVERWIRE_FLEET_TOKEN";
