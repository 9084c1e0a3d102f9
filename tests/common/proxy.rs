//! Reverse proxies from Debian's packages, each a single process with a given configuration.

use std::path::Path;

use tempfile::TempDir;

use super::process::{self, Process, need};

/// A running proxy.
pub struct Proxy {
    /// Its process.
    pub process: Process,
    folder: TempDir,
}

fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("foghorn-proxy")
        .tempdir()
        .expect("a temporary folder")
}

impl Proxy {
    /// HAProxy with this whole configuration; waits until it listens on `port`.
    pub async fn haproxy(config: &str, port: u16) -> Self {
        let folder = folder();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("the folder can be written");
        let mut command = process::command(&need("haproxy", "haproxy"));
        command.arg("-db").arg("-f").arg(&file);
        Self::start("haproxy", command, folder, port).await
    }

    /// nginx with these lines inside `http { … }`; waits until it listens on `port`.
    pub async fn nginx(http: &str, port: u16) -> Self {
        let folder = folder();
        let at = folder.path().display();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr info;\nevents {{ }}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\nscgi_temp_path {at}/scgi;\n{http}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).expect("the folder can be written");
        let mut command = process::command(&need("nginx", "nginx"));
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg("stderr")
            .arg("-c")
            .arg(&file);
        Self::start("nginx", command, folder, port).await
    }

    /// Apache with these modules and these lines of configuration; waits until it listens on `port`.
    pub async fn apache(modules: &[&str], config: &str, port: u16) -> Self {
        let folder = folder();
        let at = folder.path().display();
        let mut text = format!(
            "ServerRoot {at}\nServerName localhost\nPidFile {at}/pid\nDefaultRuntimeDir {at}\nErrorLog /dev/stderr\n\
             LogLevel info\nListen 127.0.0.1:{port}\nUser nobody\nGroup nogroup\n"
        );
        for module in ["mpm_event", "authz_core"].iter().chain(modules) {
            text +=
                &format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n");
        }
        let file = folder.path().join("apache.conf");
        std::fs::write(&file, text + config + "\n").expect("the folder can be written");
        let mut command = process::command(&need("apache2", "apache2-bin"));
        command.arg("-X").arg("-f").arg(&file);
        Self::start("apache2", command, folder, port).await
    }

    async fn start(name: &str, command: std::process::Command, folder: TempDir, port: u16) -> Self {
        let process = Process::start(name, command, &folder.path().join("output"));
        let mut proxy = Self { process, folder };
        proxy.process.listening(port).await;
        proxy
    }

    /// The folder that is the proxy's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
