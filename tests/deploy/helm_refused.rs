//! The chart refuses values that are wrong, and says why.

use crate::helm::helm;

#[test]
#[ignore = "needs helm"]
fn wrong_values_are_refused_with_a_reason() {
    let ok = [
        "--set",
        "key.value=k",
        "--set",
        "redis.bundled.enabled=true",
    ];
    for (set, reason) in [
        ("replicas=3", "replicas"),
        ("replicaCount=0", "replicaCount"),
        ("replicaCount=three", "replicaCount"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("service.type=Public", "type"),
        ("service.port=0", "port"),
        ("drain.seconds=-1", "seconds"),
        ("drain.settleBy=hope", "settleBy"),
        ("log.level=loud", "level"),
        ("redis.urls={http://redis}", "urls"),
        ("redis.urls={redis://a\\,redis://b}", "urls"),
        ("redis.urls={redis-sentinel://a/m\\,redis://b}", "urls"),
        ("settings.FOGHORN_REDIS_URL=x", "FOGHORN_REDIS_URL"),
        ("settings.FOGHORN_PARTITION=x", "FOGHORN_PARTITION"),
        (
            "settings.FOGHORN_REDIS_REQUIRED=true",
            "sets this from a value of its own",
        ),
        (
            "settings.JWT_PRIVATE_KEY_PREVIOUS=x",
            "sets this from a value of its own",
        ),
        (
            "settings.FOGHORN_OPS_PASSWORD=x,ops.password=y",
            "take one of them away",
        ),
        (
            "ops.password=x,ops.existingSecret=y",
            "take one of them away",
        ),
        (
            "redis.tls.existingSecret=x,redis.tls.certificate=y",
            "go together",
        ),
        (
            "centrifugo.config.secret=s",
            "where settings.FOGHORN_DIALECTS names centrifugo",
        ),
        (
            "settings.FOGHORN_DIALECTS=centrifugo,centrifugo.config.secret=s,centrifugo.existingSecret=x",
            "take one of them away",
        ),
        (
            "settings.FOGHORN_DIALECTS=centrifugo,settings.FOGHORN_CENTRIFUGO_CONFIG=/x,centrifugo.config.secret=s",
            "take one of them away",
        ),
        ("centrifugo.env.SECRET=s", "SECRET"),
        ("centrifugo.file=x", "file"),
        ("image.digest=latest", "digest"),
        ("listen.address=localhost", "address"),
        ("rollout.maxSurge=0", "maxSurge"),
        ("extraVolumes={a}", "extraVolumes"),
        ("openshift=maybe", "openshift"),
        ("podDisruptionBudget.maxUnavailable=0", "maxUnavailable"),
        ("seafile.names.REDIS_HOSTT=x", "REDIS_HOSTT"),
        ("settings.foghorn=1", "foghorn"),
        (
            "settings.FOGHORN_DRAIN_SECONDS=1",
            "sets this from a value of its own",
        ),
        (
            "redis.urls={redis://redis}",
            "redis.bundled.enabled is for trials",
        ),
        ("database.host=db", "database.host needs"),
        ("gateway.enabled=true", "gateway.parentRefs"),
        ("redis.bundled.enabled=false", "3 nodes need Redis"),
        ("key.value=", "there is no key"),
        (
            "autoscaling.enabled=true,autoscaling.maxReplicas=2",
            "below",
        ),
        (
            "autoscaling.enabled=true,autoscaling.cpuUtilization=0,autoscaling.connectionsPerNode=0",
            "autoscaling needs",
        ),
    ] {
        let arguments = ["template", "t", "charts/foghorn", "--kube-version", "1.33"];
        let (good, text) = helm(&[&arguments[..], &ok, &["--set", set]].concat());
        assert!(!good && text.contains(reason), "{set}: {text}");
    }
    let (good, text) = helm(&[
        "template",
        "t",
        "charts/foghorn",
        "--kube-version",
        "1.24",
        ok[0],
        ok[1],
        ok[2],
        ok[3],
    ]);
    assert!(!good && text.contains("kubeVersion"), "{text}");
}
