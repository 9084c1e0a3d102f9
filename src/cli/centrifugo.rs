//! `centrifugo`: Centrifugo v1's command line, for whoever puts this program in its place. It is taken after this word, and
//! where the program is called by that name, as by a link.
//!
//! Invariants: a flag wins over its variable, and that over the file; a flag that cannot be honoured is refused by its name; no
//! password is taken from a flag, since process lists show it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command};

use super::terminal::{fail, print};
use super::{check_config, serve};
use crate::config::Sources;
use crate::config::sources::InPlace;
use crate::dialect::centrifugo::file::stand_ins::PREFIX;
use crate::dialect::centrifugo::settings::CONFIG;
use crate::dialect::centrifugo::wire::DIALECT;

/// What the program is called by then.
pub const NAME: &str = "centrifugo";

/// The file that is read where none is named.
const FILE: &str = "config.json";

/// v1's flags but `config`: the name, a letter, whether it is a switch, and what it says.
const FLAGS: &[(&str, Option<char>, bool, &str)] = &[
    ("address", Some('a'), false, "Address to listen on"),
    ("admin", None, true, "Enable the admin socket"),
    ("admin_port", None, false, "Port for admin endpoints"),
    ("api_port", None, false, "Port for API endpoints"),
    ("debug", Some('d'), true, "Refused: profiles are not served"),
    ("engine", Some('e'), false, "memory or redis"),
    ("insecure", None, true, "Insecure client mode"),
    ("insecure_admin", None, true, "Insecure admin mode"),
    ("insecure_api", None, true, "Insecure API mode"),
    (
        "log_file",
        None,
        false,
        "Log file; without it the log goes to standard output",
    ),
    (
        "log_level",
        None,
        false,
        "trace, debug, info, error, critical, fatal or none",
    ),
    ("name", Some('n'), false, "What stats call this node"),
    (
        "pid_file",
        None,
        false,
        "Where the number of this process is written to",
    ),
    (
        "port",
        Some('p'),
        false,
        "Port to listen on; 8000 where nothing says another",
    ),
    ("redis_api", None, true, "Take commands from lists in Redis"),
    (
        "redis_api_num_shards",
        None,
        false,
        "How many more lists there are",
    ),
    ("redis_db", None, false, "Redis database"),
    (
        "redis_host",
        None,
        false,
        "Redis host; several, with commas between them, are shards",
    ),
    (
        "redis_master_name",
        None,
        false,
        "Name of the master that Sentinels know",
    ),
    (
        "redis_password",
        None,
        false,
        "Refused: process lists show it; CENTRIFUGO_REDIS_PASSWORD or the file",
    ),
    ("redis_pool", None, false, "Changes nothing"),
    ("redis_port", None, false, "Redis port"),
    (
        "redis_sentinels",
        None,
        false,
        "Addresses of Sentinels, with commas between them",
    ),
    (
        "redis_url",
        None,
        false,
        "redis://host:port/db; without a password",
    ),
    ("ssl", None, true, "Speak TLS with clients"),
    ("ssl_cert", None, false, "Certificate chain, a PEM file"),
    ("ssl_key", None, false, "Its private key, a PEM file"),
    (
        "web",
        Some('w'),
        true,
        "Serve the page for operators; switches the admin socket on",
    ),
    (
        "web_path",
        None,
        false,
        "Refused: the page is the built-in one",
    ),
];

const EXAMPLE: &str = "\
Examples:
  foghorn centrifugo --config=config.json --port=8000
  foghorn centrifugo checkconfig --config=config.yaml
  foghorn centrifugo genconfig -c config.json

A flag wins over its variable (CENTRIFUGO_PORT), and that over the file; Foghorn's own settings win over all of them.";

/// Take Centrifugo v1's command line: see foghorn centrifugo --help
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Flags and commands of Centrifugo v1
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) arguments: Vec<OsString>,
}

/// The arguments behind the name, where `line` is a command line of v1's: the program has its name, or that is the first word.
pub fn taken(line: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = line.split_first()?;
    if Path::new(program)
        .file_name()
        .is_some_and(|name| name == NAME)
    {
        return Some(rest);
    }
    rest.split_first()
        .filter(|(first, _)| *first == NAME)
        .map(|(_, rest)| rest)
}

/// Does what v1's command line says.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let matches = command().get_matches_from([OsString::from(NAME)].iter().chain(arguments));
    if let Some(wrong) = told_secret(&matches) {
        command().error(ErrorKind::ValueValidation, wrong).exit();
    }
    match matches.subcommand_name() {
        Some("version") => {
            print(&format!(
                "Foghorn v{}, in the place of Centrifugo v1\n",
                crate::version::LONG
            ));
            ExitCode::SUCCESS
        }
        Some("genconfig") => generate(&config_file(&matches).unwrap_or_else(|| FILE.into())),
        Some("checkconfig") => {
            check_config::run(&check_config::Arguments::default(), &sources(&matches))
        }
        _ => serve::run(&sources(&matches)),
    }
}

fn command() -> Command {
    let flag =
        |(name, letter, is_switch, help): &(&'static str, Option<char>, bool, &'static str)| {
            let arg = Arg::new(*name)
                .long(*name)
                .help(*help)
                .global(true)
                .value_name("VALUE");
            let arg = letter.map_or_else(|| arg.clone(), |letter| arg.clone().short(letter));
            if *is_switch {
                arg.num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
            } else {
                arg
            }
        };
    let config = Arg::new("config")
        .long("config")
        .short('c')
        .global(true)
        .value_name("FILE");
    let config =
        config.help("Configuration file in JSON, YAML or TOML; config.json where there is one");
    Command::new(NAME)
        .about("Centrifugo v1's command line, taken by Foghorn")
        .after_help(EXAMPLE)
        .arg(config)
        .args(FLAGS.iter().map(flag))
        .subcommand(Command::new("version").about("Show the version"))
        .subcommand(
            Command::new("checkconfig").about("Check the configuration and show every setting"),
        )
        .subcommand(Command::new("genconfig").about("Write a configuration file with a new secret"))
}

/// What is wrong with a flag that holds a password, without the password.
fn told_secret(matches: &ArgMatches) -> Option<&'static str> {
    let given = |name: &str| matches.get_one::<String>(name);
    if given("redis_password").is_some() {
        return Some(
            "--redis_password is not taken, since process lists show it: set CENTRIFUGO_REDIS_PASSWORD, or redis_password in the file",
        );
    }
    let has_password = given("redis_url").is_some_and(|url| url.contains('@'));
    has_password.then_some("--redis_url is not taken with a password, since process lists show it: set CENTRIFUGO_REDIS_URL, or redis_url in the file")
}

fn config_file(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<String>("config").map(PathBuf::from)
}

/// Where settings come from: flags are variables that win over those of the environment.
fn sources(matches: &ArgMatches) -> Sources {
    let mut sources = Sources::process(None, None);
    let flags = FLAGS
        .iter()
        .filter_map(|(name, ..)| Some((*name, matches.get_one::<String>(name)?)));
    sources
        .env
        .extend(flags.map(|(name, value)| (variable(name), value.into())));
    if let Some(config) = config_file(matches) {
        sources
            .env
            .insert(CONFIG.row.name.into(), config.into_os_string());
    }
    let here = Path::new(FILE).exists().then(|| FILE.to_owned());
    sources.in_place = Some(InPlace {
        dialect: DIALECT,
        file: here,
    });
    sources
}

fn variable(key: &str) -> OsString {
    format!("{PREFIX}{}", key.to_ascii_uppercase()).into()
}

/// Writes a configuration file that was not there, for its owner alone.
fn generate(path: &Path) -> ExitCode {
    let secret = || {
        format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        )
    };
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => format!("secret: \"{}\"\n", secret()),
        Some("toml") => format!("secret = \"{}\"\n", secret()),
        _ => format!("{{\n  \"secret\": \"{}\"\n}}\n", secret()),
    };
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{} cannot be written: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests;
