//! A route: its rules, its pool, and the gateway it belongs to.

use std::{net::IpAddr, sync::Arc};

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
}

/// Where a pipe stands when it asks for a further leg.
#[derive(Debug)]
pub(crate) struct LegPlan {
    pub(crate) handle: Arc<PipeHandle>,
    pub(crate) leg: u64,
    pub(crate) client_next: u64,
    pub(crate) server_count: u64,
}

impl Route {
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
