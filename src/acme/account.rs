//! As whom certificates are ordered: one account of the authority's, made once and kept in the cache.
//!
//! Invariant: an account that the authority no longer knows is made anew at the next order, and no other is.

use std::sync::Arc;

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use super::transport::Transport;
use super::{Acme, AcmeError};

/// What the cache calls it.
const NAME: &str = "foghorn_account";

/// As the cache has it.
#[derive(Deserialize, Serialize)]
struct Stored {
    email: Option<String>,
    credentials: AccountCredentials,
}

/// The account, once it is known.
pub(super) struct Holder {
    acme: Arc<Acme>,
    stored: Option<Vec<u8>>,
    account: Option<Account>,
}

impl Holder {
    /// With what the cache has.
    pub(super) async fn new(acme: &Arc<Acme>) -> Self {
        let stored = acme.aside(|acme| acme.kept(NAME)).await;
        Self {
            acme: Arc::clone(acme),
            stored: stored.flatten(),
            account: None,
        }
    }

    /// The account.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub(super) async fn account(&mut self) -> Result<Account, AcmeError> {
        if let Some(account) = &self.account {
            return Ok(account.clone());
        }
        let transport = Box::new(Transport {
            authorities: self.acme.authorities.clone(),
        });
        let builder = Account::builder_with_http(transport);
        let account = match self.credentials() {
            Some(credentials) => builder.from_credentials(credentials).await?,
            None => {
                let email = &self.acme.wanted.email;
                let contact = email.as_ref().map(|email| format!("mailto:{email}"));
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                let new = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                let directory = self.acme.wanted.directory.to_string();
                let (account, credentials) = builder.create(&new, directory, None).await?;
                self.keep(credentials);
                account
            }
        };
        Ok(self.account.insert(account).clone())
    }

    /// The authority does not know it.
    pub(super) fn forget(&mut self) {
        self.account = None;
        self.stored = None;
    }

    fn credentials(&self) -> Option<AccountCredentials> {
        let stored: Stored = serde_json::from_slice(self.stored.as_deref()?).ok()?;
        // With another address it is another account.
        (stored.email == self.acme.wanted.email).then_some(stored.credentials)
    }

    fn keep(&mut self, credentials: AccountCredentials) {
        let stored = Stored {
            email: self.acme.wanted.email.clone(),
            credentials,
        };
        self.stored = serde_json::to_vec(&stored).ok();
        if let Some(stored) = &self.stored {
            self.acme.keep(NAME, stored.clone());
        }
    }
}
