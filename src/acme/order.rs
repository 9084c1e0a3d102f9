//! One order: the authority is shown that the host leads here, and signs a certificate for a new key.
//!
//! Invariant: it ends in time, and what the authority was shown is shown no longer then.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};

use super::AcmeError;
use super::shown::{Proof, Shown};

/// How long the authority may take to look for this node, and to sign.
const WITHIN: Duration = Duration::from_secs(90);
/// How soon it is asked for the first time whether it has done so; then less and less often.
const SOONEST: Duration = Duration::from_millis(250);

/// Orders a certificate for `host`, by this kind of proof. Returns its key and its chain, PEM.
///
/// # Errors
/// [`AcmeError`]
pub(super) async fn order(
    account: &Account,
    shown: &Shown,
    host: &str,
    kind: &ChallengeType,
) -> Result<Vec<u8>, AcmeError> {
    let patience = RetryPolicy::new().initial_delay(SOONEST).timeout(WITHIN);
    let names = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let proofs = prove(&mut order, shown, host, kind).await?;
    // The authority's word on an order that has failed says less than its word on what it looked for.
    match order.poll_ready(&patience).await.map_err(AcmeError::from) {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(unproven(&mut order).await.unwrap_or(AcmeError::Late)),
        Err(error @ AcmeError::Refused(_)) => {
            return Err(unproven(&mut order).await.unwrap_or(error));
        }
        Err(error) => return Err(error),
    }
    drop(proofs);
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&patience).await?;
    Ok([key, chain].concat().into_bytes())
}

/// Shows the authority what it wants to see, and asks it to look.
async fn prove<'a>(
    order: &mut Order,
    shown: &'a Shown,
    host: &str,
    kind: &ChallengeType,
) -> Result<Vec<Proof<'a>>, AcmeError> {
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization
            .challenge(kind.clone())
            .ok_or(AcmeError::NotOffered(match kind {
                ChallengeType::Http01 => "http-01",
                _ => "tls-alpn-01",
            }))?;
        let wanted = challenge.key_authorization();
        proofs.push(shown.prove(kind, host, &challenge.token, &wanted)?);
        challenge.set_ready().await?;
    }
    Ok(proofs)
}

/// What the authority says of what it looked for; `None`: nothing.
async fn unproven(order: &mut Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let said: Option<&Problem> = state
            .challenges
            .iter()
            .find_map(|challenge| challenge.error.as_ref());
        if let Some(said) = said {
            return Some(AcmeError::Unproven(said.clone()));
        }
    }
    None
}
