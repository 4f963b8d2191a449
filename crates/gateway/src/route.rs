//! A route: its rules, its pool, and the gateway it belongs to.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use everwire_proto::ws::upgrade::{Forwarded, Progress, Refusal, UpgradeRequest};

use crate::{
    config::{Delivery, RouteConfig},
    dial::{self, Leg, LegError, Order},
    gateway::Gateway,
    handle::PipeHandle,
    pool::Pool,
};

/// What every pipe of a route shares.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Box<str>,
    pub(crate) config: Arc<RouteConfig>,
    pub(crate) pool: Pool,
    pub(crate) gateway: Gateway,
    /// Requests being served that open no WebSocket.
    requests: AtomicU32,
}

/// A place among a route's `requests_max`, given back when dropped.
#[derive(Debug)]
pub(crate) struct RequestPlace(Arc<Route>);

/// Where a pipe stands when it asks for a further leg.
#[derive(Debug)]
pub(crate) struct LegPlan {
    pub(crate) handle: Arc<PipeHandle>,
    pub(crate) leg: u64,
    pub(crate) client_next: u64,
    pub(crate) server_count: u64,
}

impl RequestPlace {
    /// A place, if there are not as many requests as there may be.
    pub(crate) fn take(route: &Arc<Route>, requests_max: u32) -> Option<Self> {
        let before = route.requests.fetch_add(1, Relaxed);
        // The place exists from here on, so that it is given back on every path.
        let place = Self(Arc::clone(route));
        (before < requests_max).then_some(place)
    }
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

impl Route {
    /// A route through which nothing has come.
    pub(crate) fn new(name: &str, config: Arc<RouteConfig>, pool: Pool, gateway: Gateway) -> Self {
        Self { name: name.into(), config, pool, gateway, requests: AtomicU32::new(0) }
    }

    /// Dials the first leg of a session.
    pub(crate) async fn dial_first(
        &self,
        request: &UpgradeRequest,
        forwarded: &Forwarded,
        client: IpAddr,
        session: u128,
    ) -> Result<Leg, Refusal> {
        let session = session_name(session);
        let progress = Progress { session: &session, leg: 1, client_next: 1, server_count: 0 };
        dial::dial_first(&self.pool, request, &self.order(forwarded, client, progress)).await
    }

    /// Dials a later one, for as long as it takes.
    pub(crate) async fn dial_again(&self, plan: &LegPlan) -> Result<Leg, LegError> {
        let session = session_name(plan.handle.session);
        let progress = Progress {
            session: &session,
            leg: plan.leg,
            client_next: plan.client_next,
            server_count: plan.server_count,
        };
        let order = self.order(&plan.handle.forwarded, plan.handle.client.ip(), progress);
        dial::dial_again(&self.pool, &plan.handle.agreed, &order).await
    }

    fn order<'a>(
        &self,
        forwarded: &'a Forwarded,
        client: IpAddr,
        progress: Progress<'a>,
    ) -> Order<'a> {
        let counting = self.config.delivery == Delivery::ExactlyOnce;
        Order { forwarded, client, progress, affinity: None, counting }
    }
}

/// The session's name as cooperating backends see it: opaque, not to be guessed.
fn session_name(session: u128) -> String {
    format!("{session:032x}")
}
