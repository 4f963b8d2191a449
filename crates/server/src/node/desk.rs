//! The hubs and the fleet as one thread serves them, and which requests are theirs.

use std::{sync::Arc, time::Duration};

use everwire_fleet::FleetService;
use everwire_hub::{Cluster, HubService, PeerService, Shard};
use prometheus_client::metrics::counter::Counter;

use super::{Hubs, NodeFleet, NodeHub};
use crate::config::is_at_or_below;

/// What one thread serves. A clone is the same.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Services>);

struct Services {
    hubs: Vec<(Arc<NodeHub>, HubService)>,
    fleet: Option<(Arc<NodeFleet>, FleetService)>,
}

/// What a request is for.
pub(crate) enum Found<'d> {
    Hub(&'d NodeHub, &'d HubService),
    Fleet(&'d NodeFleet, &'d FleetService),
}

impl Desk {
    /// One desk for each of so many threads, and what the thread is to run for it.
    pub(crate) fn open(
        hubs: &Hubs,
        fleet: Option<&Arc<NodeFleet>>,
        threads: usize,
    ) -> Vec<(Self, Vec<Shard>)> {
        let all = hubs.iter().map(|hub| &hub.hub).chain(fleet.map(|fleet| fleet.fleet.hub()));
        let mut shards: Vec<_> = all.map(|hub| hub.take_shards().into_iter()).collect();
        let desk = |_| {
            let own: Vec<_> = shards.iter_mut().filter_map(Iterator::next).collect();
            (Self(Arc::new(Services::new(hubs, fleet, &own))), own)
        };
        (0..threads).map(desk).collect()
    }

    /// Whether the node has neither hubs nor a fleet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.hubs.is_empty() && self.0.fleet.is_none()
    }

    /// What the other nodes ask of the hubs, answered on this thread.
    pub(crate) fn peer_service(&self, cluster: &Cluster) -> PeerService {
        let fleet = self.0.fleet.iter().map(|(_, service)| service.hub().clone());
        cluster.service(self.0.hubs.iter().map(|(_, service)| service.clone()).chain(fleet))
    }

    /// How long clients may take nothing of what they are sent; the hub where they may longest.
    pub(crate) fn send_timeout(&self) -> Duration {
        let fleet = self.0.fleet.iter().map(|(fleet, _)| fleet.send_timeout);
        let hubs = self.0.hubs.iter().map(|(hub, _)| hub.send_timeout);
        hubs.chain(fleet).max().unwrap_or_default()
    }

    /// What a request for `path` is for, if it is not for a route.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_>> {
        let path = path.split('?').next().unwrap_or(path);
        let Services { hubs, fleet } = &*self.0;
        let hub = hubs.iter().find(|(hub, _)| is_at_or_below(path, &hub.path));
        let fleet = fleet.iter().find(|(fleet, _)| is_at_or_below(path, &fleet.path));
        let fleet = fleet.map(|(fleet, service)| Found::Fleet(fleet, service));
        hub.map(|(hub, service)| Found::Hub(hub, service)).or(fleet)
    }
}

impl Services {
    /// The services with their connections on these shards, which are in the order of the hubs, the
    /// fleet's last.
    fn new(hubs: &Hubs, fleet: Option<&Arc<NodeFleet>>, shards: &[Shard]) -> Self {
        let service =
            |(hub, shard): (&Arc<NodeHub>, &Shard)| (Arc::clone(hub), hub.hub.service().on(shard));
        let fleet = fleet.zip(shards.last()).map(|(fleet, shard)| {
            let sockets = fleet.fleet.hub().service().on(shard);
            (Arc::clone(fleet), fleet.service(sockets))
        });
        Self { hubs: hubs.iter().zip(shards).map(service).collect(), fleet }
    }
}

impl<'d> Found<'d> {
    /// What takes the requests that open a WebSocket.
    pub(crate) fn sockets(&self) -> &'d HubService {
        match self {
            Self::Hub(_, sockets) => sockets,
            Self::Fleet(_, service) => service.hub(),
        }
    }

    /// Counts the requests that were answered with an error.
    pub(crate) fn refused(&self) -> &'d Counter {
        match self {
            Self::Hub(hub, _) => &hub.refused,
            Self::Fleet(fleet, _) => &fleet.refused,
        }
    }
}
