//! nginx with Nchan, its settings the defaults but for the number of messages kept.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{CLIENTS_MAX, WORKERS};
use crate::process::Workplace;
use crate::program::{Invocation, find};

/// Writes the configuration of one channel: who connects hears what is posted to `/publish`.
pub(super) fn command(place: &Workplace, listen: SocketAddr) -> Result<Invocation> {
    ensure!(Path::new(MODULE).is_file(), "Nchan is missing: apt-get install libnginx-mod-nchan");
    let folder = place.file("nginx");
    fs::create_dir_all(&folder)?;
    let at = folder.display();
    // With fewer messages kept than come at once, clients of the other worker miss some.
    let text = format!(
        "load_module {MODULE};\ndaemon off;\nworker_processes {WORKERS};\npid {at}/pid;\n\
         error_log stderr crit;\n\
         events {{ use epoll; worker_connections {CLIENTS_MAX}; multi_accept on; }}\n\
         http {{\n  access_log off;\n  server_tokens off;\n  keepalive_requests 1000000000;\n  \
         keepalive_timeout 1h;\n  \
         client_body_temp_path {at}/b;\n  proxy_temp_path {at}/p;\n  fastcgi_temp_path {at}/f;\n  \
         uwsgi_temp_path {at}/u;\n  scgi_temp_path {at}/s;\n  \
         nchan_shared_memory_size 128M;\n  \
         server {{\n    listen {listen} reuseport backlog=4096;\n    \
         location = /publish {{\n      nchan_publisher http;\n      nchan_channel_id all;\n      \
         nchan_message_buffer_length 64;\n    }}\n    \
         location / {{\n      nchan_subscriber websocket;\n      nchan_channel_id all;\n      \
         nchan_subscriber_first_message newest;\n    }}\n  }}\n}}\n"
    );
    let file = place.file("nginx.conf");
    fs::write(&file, text)?;
    let args = vec!["-e".into(), "stderr".into(), "-c".into(), file.into_os_string()];
    Ok(Invocation { program: find("nginx", "nginx")?, args })
}

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
