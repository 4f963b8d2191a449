//! Does what is declared.
//!
//! Everything happens while a call begins, and nothing of it waits: a connection that calls is
//! there, and what it has become is undone when it has gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everwire_proto::signalr::{
    Protocol,
    payload::{Arguments, Payload},
};
use serde::Serialize;

use super::{
    Action, Declaration, Presence, Receivers, Send, Template,
    memberships::{Limits, Memberships, Scope},
    template::Part,
};
use crate::{
    error::HubError,
    hub::HubBuilder,
    id::GroupName,
    method::{Context, Untouched},
    recipients::Recipients,
};

/// What the methods of one hub share.
struct Performer {
    presence: Option<Presence>,
    limits: Limits,
    memberships: Mutex<Memberships>,
}

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
        let names = self.presence.as_ref().map_or(0, |presence| presence.names_max);
        let performer = Arc::new(Performer {
            presence: self.presence,
            limits: Limits { memberships: self.memberships_max, names },
            memberships: Mutex::default(),
        });
        let mut hub = performer.clone().attend(hub);
        for (name, action) in self.methods {
            let performer = Arc::clone(&performer);
            hub = hub.method(name, move |cx: Context, all: Untouched| {
                let done = performer.perform(&action, &Call::new(&cx, &all.0));
                async move { done }
            });
        }
        hub
    }
}

impl Performer {
    /// Sees to those who come and go.
    fn attend(self: Arc<Self>, hub: HubBuilder) -> HubBuilder {
        let leaving = Arc::clone(&self);
        let hub = hub.disconnected(move |cx, _| {
            leaving.gone(&cx);
            async {}
        });
        if self.presence.is_none() {
            return hub;
        }
        hub.connected(move |cx| {
            let memberships = self.memberships();
            self.tell_newcomer(&cx, &Scope::Hub, &memberships.names(&Scope::Hub));
            async { Ok(()) }
        })
    }

    /// Everything that can be wrong with the call is found before anything is done.
    fn perform(&self, action: &Action, call: &Call<'_>) -> Result<(), HubError> {
        let join = call.group(action.join.as_ref())?;
        let present = call.name(action.present.as_ref())?;
        let message = action.send.as_ref().map(|send| call.message(send)).transpose()?;
        let absent = call.name(action.absent.as_ref())?;
        let leave = call.group(action.leave.as_ref())?;
        if let Some(group) = &join {
            self.join(call.cx, group)?;
        }
        if let Some(name) = present {
            let scope = join.map_or(Scope::Hub, Scope::Group);
            self.enter(call.cx, &scope, &name)?;
        }
        if let Some(Message { to, target, arguments }) = message {
            to.send_encoded(target, arguments)?;
        }
        if let Some(name) = absent {
            self.exit(call.cx, &name);
        }
        if let Some(group) = leave {
            self.leave(call.cx, group);
        }
        Ok(())
    }

    fn join(&self, cx: &Context, group: &GroupName) -> Result<(), HubError> {
        let joined = self.memberships().join(cx.connection_id(), group, self.limits.memberships);
        joined.map_err(|full| HubError::new(full.to_string()))?;
        let added = cx.hub().groups().add(cx.connection_id(), group.clone());
        added.map_err(|full| HubError::new(full.to_string()))
    }

    fn leave(&self, cx: &Context, group: GroupName) {
        let mut memberships = self.memberships();
        let gone = memberships.leave(cx.connection_id(), &group);
        cx.hub().groups().remove(cx.connection_id(), group.clone());
        let scope = Scope::Group(group);
        for name in gone {
            self.tell_left(cx, &scope, &name);
        }
    }

    /// What is told is told before anybody else changes who is present, so that all hear of it in
    /// the order in which it happens.
    fn enter(&self, cx: &Context, scope: &Scope, name: &Arc<str>) -> Result<(), HubError> {
        let mut memberships = self.memberships();
        // A newcomer to the hub was told when it connected.
        let before = (*scope != Scope::Hub).then(|| memberships.names(scope));
        let id = cx.connection_id();
        let entered = memberships.enter(id, scope.clone(), Arc::clone(name), self.limits);
        let is_new = entered.map_err(|full| HubError::new(full.to_string()))?;
        if let Some(names) = before {
            self.tell_newcomer(cx, scope, &names);
        }
        if is_new {
            self.tell_joined(&receivers(cx, scope), scope, name);
        }
        Ok(())
    }

    fn exit(&self, cx: &Context, name: &Arc<str>) {
        let mut memberships = self.memberships();
        if memberships.exit(cx.connection_id(), Scope::Hub, Arc::clone(name)) {
            self.tell_left(cx, &Scope::Hub, name);
        }
    }

    fn gone(&self, cx: &Context) {
        let mut memberships = self.memberships();
        for (scope, name) in memberships.gone(cx.connection_id()) {
            self.tell_left(cx, &scope, &name);
        }
    }

    fn tell_newcomer(&self, cx: &Context, scope: &Scope, names: &[Arc<str>]) {
        let newcomer = cx.hub().connections([cx.connection_id()]);
        let roster = self.presence.as_ref().and_then(|presence| presence.roster.as_deref());
        match roster {
            Some(target) => {
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                tell(&newcomer, target, scope, &names);
            }
            None => names.iter().for_each(|name| self.tell_joined(&newcomer, scope, name)),
        }
    }

    fn tell_joined(&self, to: &Recipients, scope: &Scope, name: &str) {
        let target = self.presence.as_ref().and_then(|presence| presence.joined.as_deref());
        target.into_iter().for_each(|target| tell(to, target, scope, name));
    }

    fn tell_left(&self, cx: &Context, scope: &Scope, name: &str) {
        let target = self.presence.as_ref().and_then(|presence| presence.left.as_deref());
        let to = receivers(cx, scope);
        target.into_iter().for_each(|target| tell(&to, target, scope, name));
    }

    /// Held while something is published, which takes a moment, and never across an await.
    fn memberships(&self) -> MutexGuard<'_, Memberships> {
        self.memberships.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told of a name.
fn receivers(cx: &Context, scope: &Scope) -> Recipients {
    match scope {
        Scope::Hub => cx.hub().all(),
        Scope::Group(group) => cx.hub().group(group.clone()),
    }
}

/// Tells of a name or names, and in which group those are.
fn tell(to: &Recipients, target: &str, scope: &Scope, what: &(impl Serialize + ?Sized)) {
    let told = match scope {
        Scope::Hub => to.send(target, &(what,)),
        Scope::Group(group) => to.send(target, &(what, group.as_str())),
    };
    if let Err(error) = told {
        tracing::warn!(target, %error, "clients are not told who is present");
    }
}

impl<'a> Call<'a> {
    fn new(cx: &'a Context, everything: &'a Arguments) -> Self {
        Self { cx, everything, values: everything.iter().collect() }
    }

    fn group(&self, template: Option<&Template>) -> Result<Option<GroupName>, HubError> {
        Ok(self.name(template)?.map(GroupName::new))
    }

    /// A name of something, which is neither empty nor long.
    fn name(&self, template: Option<&Template>) -> Result<Option<Arc<str>>, HubError> {
        let Some(template) = template else { return Ok(None) };
        let name = self.text(template)?;
        match name.len() {
            0 => Err(HubError::new("A name is empty.")),
            1..=NAME_MAX => Ok(Some(name.into())),
            _ => Err(HubError::new(format!("A name is longer than {NAME_MAX} bytes."))),
        }
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

/// The longest name of a group, a user, or somebody who is present: as long as a DNS name. Names
/// are kept, and told to everybody.
const NAME_MAX: usize = 255;
