//! `ostler start|stop|restart WORKLOAD` and `ostler cancel ID`: asks, and waits until it is done.

use serde_json::{Map, Value, json};

use super::client::Client;
use super::events::Events;
use super::outcome::tell;
use super::progress::{follow, interrupted, title};
use super::{Exit, Global, print};
use crate::any_error::{Context as _, Outcome};
use crate::clock::Timestamp;
use crate::protocol::{Command, Name, Operation, OperationId, OperationRecord};

/// Arguments of `ostler start`.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The workload, by its name in the configuration
    workload: Name,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler stop` and `ostler restart`.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// The workload, by its name in the configuration
    workload: Name,
    /// How long it may take to end by itself before it is killed, instead of the configured time
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler cancel`.
#[derive(Debug, clap::Args)]
pub struct Cancel {
    /// The operation to cancel
    operation: OperationId,
}

/// How an operation is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// The id of the operation; the same id never runs twice [default: made up]
    #[arg(long)]
    id: Option<OperationId>,
    /// Do not start it any more after so long
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    expires_in: Option<u32>,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Return as soon as it is accepted
    #[arg(long)]
    no_wait: bool,
}

/// Starts a workload.
pub async fn start(args: Start, global: &Global) -> Outcome<Exit> {
    let no_arguments = Map::new();
    args.how
        .ask(Operation::Start, args.workload, no_arguments, global)
        .await
}

/// Stops or restarts a workload.
pub async fn stop(operation: Operation, args: Stop, global: &Global) -> Outcome<Exit> {
    let grace = args.grace.map(|grace| ("grace_s".to_owned(), json!(grace)));
    args.how
        .ask(operation, args.workload, Map::from_iter(grace), global)
        .await
}

/// Cancels an operation.
pub async fn cancel(args: Cancel, global: &Global) -> Outcome<Exit> {
    let command = Command {
        args: Map::from_iter([("operation".to_owned(), json!(args.operation))]),
        ..Command::default()
    };
    let id = OperationId::made_up(Operation::Cancel);
    operate(Operation::Cancel, command, id, false, global).await
}

impl How {
    /// Asks for the operation and, unless told otherwise, waits until it has ended.
    pub(super) async fn ask(
        self,
        operation: Operation,
        workload: impl Into<Option<Name>>,
        args: Map<String, Value>,
        global: &Global,
    ) -> Outcome<Exit> {
        let expires_at = self.expires_in.and_then(|seconds| {
            Timestamp::from_unix_seconds(Timestamp::now().unix_seconds() + i64::from(seconds))
        });
        let command = Command {
            id: None,
            workload: workload.into(),
            args,
            expires_at,
            dry_run: self.dry_run,
        };
        let id = self.id.unwrap_or_else(|| OperationId::made_up(operation));
        operate(operation, command, id, self.no_wait, global).await
    }
}

async fn operate(
    operation: Operation,
    command: Command,
    id: OperationId,
    no_wait: bool,
    global: &Global,
) -> Outcome<Exit> {
    let client = Client::new(global.socket()?);
    let command = Command {
        id: Some(id.clone()),
        ..command
    };
    let ask = async {
        if no_wait {
            let record = client.command(operation, &command).await?;
            return accepted(&record, global);
        }
        // Before the command is given, so that no step of it is missed.
        let events = client.events().await?;
        let record = client.command(operation, &command).await?;
        wait(&client, events, record, global).await
    };
    unless_interrupted(&id, ask).await
}

/// Waits until an operation has ended, and tells how.
pub(super) async fn wait(
    client: &Client,
    events: Events,
    record: OperationRecord,
    global: &Global,
) -> Outcome<Exit> {
    let id = record.id.clone();
    let later = || format!("{id} goes on; ask for it later: ostler operations {id}");
    let record = follow(client, events, record, global.json)
        .await
        .context(later)?;
    tell(&record, global)
}

/// Ctrl-C ends the waiting, and not the operation.
pub(super) async fn unless_interrupted(
    id: &OperationId,
    work: impl Future<Output = Outcome<Exit>>,
) -> Outcome<Exit> {
    tokio::select! {
        // First, so that it is listened to before anything is asked.
        biased;
        () = interrupted() => {
            print::err(&format!(
                "not waiting any more; {id} goes on.\n\
                 See it: ostler operations {id}\nCancel it: ostler cancel {id}"
            ));
            Ok(Exit::Interrupted)
        }
        ended = work => ended,
    }
}

fn accepted(record: &OperationRecord, global: &Global) -> Outcome<Exit> {
    let (what, state, id) = (title(record), record.state.as_str(), &record.id);
    match global.json {
        true => print::json(record)?,
        false => print::out(&format!("{what} is {state}: {id}\n"))?,
    }
    Ok(Exit::Success)
}
