//! The MQTT topics, in one place.

use super::{Name, OperationId};

/// Builds and reads the topics of one device.
#[derive(Clone, Debug)]
pub struct Topics {
    root: String,
    device: Name,
}

/// A command topic, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTopic<'a> {
    /// The group that is addressed; `None` for this very device.
    pub group: Option<&'a str>,
    /// The last level: the operation's name, not checked yet.
    pub operation: &'a str,
}

impl Topics {
    /// The topics of `device` under `root`.
    pub fn new(root: impl Into<String>, device: Name) -> Self {
        Self {
            root: root.into(),
            device,
        }
    }

    fn of_device(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", self.root, self.device)
    }

    /// `online` or `offline`, retained; also the last will.
    pub fn availability(&self) -> String {
        self.of_device("availability")
    }

    /// Who the device is, retained.
    pub fn device(&self) -> String {
        self.of_device("device")
    }

    /// The state of a workload, retained.
    pub fn workload(&self, name: &Name) -> String {
        self.of_device(&format!("workload/{name}"))
    }

    /// Samples of the host.
    pub fn telemetry(&self) -> String {
        self.of_device("telemetry")
    }

    /// Events.
    pub fn event(&self) -> String {
        self.of_device("event")
    }

    /// The record of an operation, retained until it is cleared.
    pub fn operation(&self, id: &OperationId) -> String {
        self.of_device(&format!("operation/{id}"))
    }

    /// The records of all operations: a filter to subscribe to.
    pub fn operations(&self) -> String {
        self.of_device("operation/+")
    }

    /// The states of all workloads: a filter to subscribe to.
    pub fn workloads(&self) -> String {
        self.of_device("workload/+")
    }

    /// The workload in the topic of a state; `None` where it is none of ours.
    pub fn read_workload(&self, topic: &str) -> Option<Name> {
        let name = topic.strip_prefix(&self.of_device("workload/"))?;
        Name::new(name).ok()
    }

    /// The id in the topic of a record; `None` where it is none of ours.
    pub fn read_operation(&self, topic: &str) -> Option<OperationId> {
        let id = topic.strip_prefix(&self.of_device("operation/"))?;
        OperationId::new(id).ok()
    }

    /// What to subscribe to: this device's commands and those of its groups.
    pub fn command_filters(&self, groups: &[Name]) -> Vec<String> {
        let of_groups = groups
            .iter()
            .map(|group| format!("{}/group/{group}/command/+", self.root));
        std::iter::once(self.of_device("command/+"))
            .chain(of_groups)
            .collect()
    }

    /// Reads a command topic; `None` where it is none of ours.
    pub fn read_command<'a>(&self, topic: &'a str) -> Option<CommandTopic<'a>> {
        let rest = topic.strip_prefix(&self.root)?.strip_prefix('/')?;
        let mut levels = rest.split('/');
        let read = match (levels.next()?, levels.next()?, levels.next()?) {
            ("group", group, "command") => CommandTopic {
                group: Some(group),
                operation: levels.next()?,
            },
            (device, "command", operation) if device == self.device.as_str() => CommandTopic {
                group: None,
                operation,
            },
            _ => return None,
        };
        levels.next().is_none().then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_topics_of_this_device_and_of_groups_are_read() {
        let topics = Topics::new("site/ostler", Name::new("attic").unwrap());
        let read = |topic| topics.read_command(topic);
        assert_eq!(
            read("site/ostler/attic/command/restart"),
            Some(CommandTopic {
                group: None,
                operation: "restart"
            })
        );
        assert_eq!(
            read("site/ostler/group/roof/command/stop"),
            Some(CommandTopic {
                group: Some("roof"),
                operation: "stop"
            })
        );
        for foreign in [
            "site/ostler/cellar/command/stop",
            "site/ostler/attic/command",
            "site/ostler/attic/command/a/b",
            "ostler/attic/command/stop",
            "site/ostler/attic/telemetry",
        ] {
            assert_eq!(read(foreign), None, "{foreign}");
        }
    }
}
