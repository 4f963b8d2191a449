//! Does what is declared.
//!
//! Everything happens while a call begins, and nothing of it waits: a connection that calls is
//! there, and what it has become is undone when it has gone.

use std::sync::Arc;

use everwire_proto::signalr::{
    Protocol,
    payload::{Arguments, Payload},
};

use super::{
    Action, Declaration, Receivers, Send, Template,
    attendance::{Attendance, checked},
    template::Part,
};
use crate::{
    error::HubError,
    hub::HubBuilder,
    id::GroupName,
    method::{Context, Untouched},
    presence::Scope,
    recipients::Recipients,
};

/// A call that is being answered.
struct Call<'a> {
    cx: &'a Context,
    everything: &'a Arguments,
    values: Vec<Payload>,
}

/// A message, before anything is done.
struct Message<'a> {
    to: Recipients,
    target: &'a str,
    arguments: Arguments,
}

impl Declaration {
    /// Gives a hub on its way what is declared.
    #[must_use]
    pub fn declare(self, hub: HubBuilder) -> HubBuilder {
        let attendance = Arc::new(Attendance::new(self.presence, self.memberships_max));
        let mut hub = hub.attendance(Arc::clone(&attendance));
        for (name, action) in self.methods {
            let attendance = Arc::clone(&attendance);
            hub = hub.method(name, move |cx: Context, all: Untouched| {
                let done = perform(&attendance, &action, &Call::new(&cx, &all.0));
                async move { done }
            });
        }
        hub
    }
}

/// Everything that can be wrong with the call is found before anything is done.
fn perform(attendance: &Attendance, action: &Action, call: &Call<'_>) -> Result<(), HubError> {
    let join = call.group(action.join.as_ref())?;
    let present = call.name(action.present.as_ref())?;
    let message = action.send.as_ref().map(|send| call.message(send)).transpose()?;
    let absent = call.name(action.absent.as_ref())?;
    let leave = call.group(action.leave.as_ref())?;
    if let Some(group) = &join {
        attendance.join(call.cx, group)?;
    }
    if let Some(name) = present {
        let scope = join.map_or(Scope::Hub, Scope::Group);
        attendance.enter(call.cx, (scope, name))?;
    }
    if let Some(Message { to, target, arguments }) = message {
        to.send_encoded(target, arguments)?;
    }
    if let Some(name) = absent {
        attendance.exit(call.cx, name);
    }
    if let Some(group) = leave {
        attendance.leave(call.cx, &group);
    }
    Ok(())
}

impl<'a> Call<'a> {
    fn new(cx: &'a Context, everything: &'a Arguments) -> Self {
        Self { cx, everything, values: everything.iter().collect() }
    }

    fn group(&self, template: Option<&Template>) -> Result<Option<GroupName>, HubError> {
        Ok(self.name(template)?.map(GroupName::new))
    }

    fn name(&self, template: Option<&Template>) -> Result<Option<Arc<str>>, HubError> {
        template.map(|template| checked(&self.text(template)?)).transpose()
    }

    fn message<'s>(&self, send: &'s Send) -> Result<Message<'s>, HubError> {
        let hub = self.cx.hub();
        let name = self.name(send.to.template())?;
        let to = match (&send.to, name) {
            (Receivers::Group(_), Some(name)) => hub.group(GroupName::new(name)),
            (Receivers::User(_), Some(name)) => hub.user(crate::UserId::new(name)),
            (Receivers::Others, _) => self.cx.others(),
            (Receivers::Caller, _) => hub.connections([self.cx.connection_id()]),
            _ => hub.all(),
        };
        Ok(Message { to, target: &send.target, arguments: self.arguments(send)? })
    }

    fn arguments(&self, send: &Send) -> Result<Arguments, HubError> {
        let values = match (&send.arguments, send.to.template()) {
            (None, None) => return Ok(self.everything.clone()),
            (None, Some(named)) => {
                let all = self.values.iter().enumerate();
                all.filter(|(index, _)| !named.takes(*index))
                    .map(|(_, value)| value.clone())
                    .collect()
            }
            (Some(templates), _) => templates
                .iter()
                .map(|template| self.value(template))
                .collect::<Result<Vec<_>, _>>()?,
        };
        Ok(Arguments::collect(self.protocol(), &values)?)
    }

    fn value(&self, template: &Template) -> Result<Payload, HubError> {
        match template.as_argument() {
            Some(index) => self.argument(index).cloned(),
            None => Ok(Payload::encode(self.protocol(), &self.text(template)?)?),
        }
    }

    fn text(&self, template: &Template) -> Result<String, HubError> {
        let mut text = String::new();
        for part in template.parts() {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Argument(index) => text.push_str(&self.argument_text(*index)?),
                Part::User => {
                    let user = self.cx.user_id();
                    let user = user.ok_or_else(|| HubError::new("The caller is no user."))?;
                    text.push_str(user.as_str());
                }
                Part::Connection => text.push_str(&self.cx.connection_id().to_string()),
                Part::Node => text.push_str(&self.cx.hub().node().to_string()),
            }
        }
        Ok(text)
    }

    fn argument_text(&self, index: usize) -> Result<String, HubError> {
        match self.argument(index)?.decode()? {
            serde_json::Value::String(text) => Ok(text),
            value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
                Ok(value.to_string())
            }
            _ => Err(HubError::new(format!("Argument {index} is neither text nor a number."))),
        }
    }

    fn argument(&self, index: usize) -> Result<&Payload, HubError> {
        let missing = || HubError::new(format!("Argument {index} is missing."));
        self.values.get(index).ok_or_else(missing)
    }

    /// The encoding of the call.
    fn protocol(&self) -> Protocol {
        match self.everything.payload().bytes(Protocol::Json) {
            Some(_) => Protocol::Json,
            None => Protocol::MessagePack,
        }
    }
}
