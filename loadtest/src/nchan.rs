//! nginx with nchan, for comparison: started with a configuration of our own, on a free port, and ended with the run.
//!
//! Invariant: nothing outside a folder made for it is written, and no other nginx is touched.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Why there is no nchan.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No module.
    #[error(
        "nchan's module is not found (Debian: libnginx-mod-nchan; or name the .so in NCHAN_MODULE)"
    )]
    NoModule,
    /// nginx does not start.
    #[error("nginx does not start: {0}")]
    Start(String),
}

/// A running nginx.
pub struct Nchan {
    child: Child,
    folder: PathBuf,
    /// Its address.
    pub url: String,
}

const PLACES: &[&str] = &[
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
];

fn module() -> Option<PathBuf> {
    let named = std::env::var_os("NCHAN_MODULE").map(PathBuf::from);
    named
        .into_iter()
        .chain(PLACES.iter().map(PathBuf::from))
        .find(|p| p.is_file())
}

fn config(module: &Path, folder: &Path, port: u16) -> String {
    let (module, dir) = (module.display(), folder.display());
    // One worker: the machine's other core belongs to the generator. Buffers as small as what flows needs.
    format!(
        "load_module {module};\ndaemon off;\nmaster_process on;\nworker_processes 1;\nworker_rlimit_nofile 20000;\n\
         pid {dir}/pid;\nerror_log {dir}/error.log warn;\nevents {{ worker_connections 19900; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  \
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
         keepalive_requests 10000000;\n  nchan_shared_memory_size 128M;\n  \
         server {{\n    listen 127.0.0.1:{port} backlog=65535;\n    \
         location ~ ^/sub/(.+)$ {{ nchan_subscriber websocket eventsource; nchan_channel_id $1; \
         nchan_subscriber_first_message newest; nchan_websocket_ping_interval 25; nchan_eventsource_ping_interval 55; }}\n    \
         location ~ ^/pub/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; nchan_message_buffer_length 10; \
         nchan_message_timeout 10s; }}\n  }}\n}}\n"
    )
}

impl Nchan {
    /// Starts nginx and waits until it listens.
    ///
    /// # Errors
    /// When the module is not installed or nginx does not listen within ten seconds.
    pub fn start() -> Result<Self, Failed> {
        let io = |e: io::Error| Failed::Start(e.to_string());
        let module = module().ok_or(Failed::NoModule)?;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .map_err(io)?
            .port();
        let folder =
            std::env::temp_dir().join(format!("foghorn-load-nchan-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(io)?;
        let file = folder.join("nginx.conf");
        fs::write(&file, config(&module, &folder, port)).map_err(io)?;
        let child = Command::new("nginx")
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(io)?;
        let mut it = Self {
            child,
            folder,
            url: format!("http://127.0.0.1:{port}"),
        };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let gone = matches!(it.child.try_wait(), Ok(Some(_)));
            if gone || Instant::now() > until {
                let log = fs::read_to_string(it.folder.join("error.log")).unwrap_or_default();
                return Err(Failed::Start(
                    log.lines()
                        .last()
                        .unwrap_or("it does not listen")
                        .to_owned(),
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(it)
    }

    /// The master process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // TERM lets the master end its worker, which KILL would leave behind.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
