{{- define "foghorn.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "foghorn.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "foghorn.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "foghorn.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Selectors cannot be changed later: nothing in them depends on a version. */ -}}
{{- define "foghorn.selector" -}}
app.kubernetes.io/name: {{ include "foghorn.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "foghorn.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "foghorn.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: seafile
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "foghorn.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "foghorn.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "foghorn.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $name := .Values.image.repository -}}
{{- /* The repository's name may have a registry of its own, which another one replaces. */ -}}
{{- $parts := splitList "/" $name -}}
{{- if and $registry (gt (len $parts) 1) (or (contains "." (first $parts)) (contains ":" (first $parts))) -}}
{{- $name = join "/" (rest $parts) -}}
{{- end -}}
{{- if $registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" $registry) $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "foghorn.redisImage" -}}
{{- with .Values.global.imageRegistry -}}{{ trimSuffix "/" . }}/{{- end -}}{{ .Values.redis.bundled.image }}
{{- end -}}

{{- /* Pull secrets of the image and of all images, by name or as Kubernetes writes them. */ -}}
{{- define "foghorn.pullSecrets" -}}
{{- range concat .Values.global.imagePullSecrets .Values.image.pullSecrets | uniq }}
- name: {{ kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . }}
{{- end }}
{{- end -}}

{{- define "foghorn.onOpenShift" -}}
{{- if or (eq .Values.openshift "yes") (and (eq .Values.openshift "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}yes{{- end -}}
{{- end -}}

{{- /* Called with the root and the image's user. OpenShift gives pods users of its own and refuses others. */ -}}
{{- define "foghorn.podSecurity" -}}
{{- $root := index . 0 -}}
{{- $context := dict "runAsNonRoot" true "runAsUser" (index . 1) "runAsGroup" (index . 1) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if include "foghorn.onOpenShift" $root -}}
{{- $context = omit $context "runAsUser" "runAsGroup" -}}
{{- end -}}
{{- toYaml (mergeOverwrite $context (deepCopy $root.Values.podSecurityContext)) -}}
{{- end -}}

{{- define "foghorn.containerSecurity" -}}
{{- $context := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- toYaml (mergeOverwrite $context (deepCopy .Values.containerSecurityContext)) -}}
{{- end -}}

{{- define "foghorn.ipFamilies" -}}
{{- with .Values.listen.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.listen.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end -}}

{{- /* Settings that are secret: they go into the chart's Secret. */ -}}
{{- define "foghorn.secretSettings" -}}
FOGHORN_OPS_PASSWORD FOGHORN_OPS_TOKEN REDIS_PASSWORD OTEL_EXPORTER_OTLP_HEADERS FOGHORN_SSE_COOKIE_SECRET FOGHORN_SSE_JWT_KEY FOGHORN_SSE_SECRET FOGHORN_INBOX_SESSION_REDIS_URL FOGHORN_INBOX_JWT_KEY FOGHORN_INBOX_BROKER_URL
{{- end -}}

{{- define "foghorn.hasSecretSettings" -}}
{{- range $name, $value := .Values.settings -}}
{{- if has $name (splitList " " (include "foghorn.secretSettings" $)) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{- define "foghorn.opsSecret" -}}
{{- if .Values.ops.existingSecret -}}{{ .Values.ops.existingSecret }}
{{- else if .Values.settings.FOGHORN_OPS_PASSWORD -}}{{ include "foghorn.fullname" . }}
{{- else -}}{{ include "foghorn.fullname" . }}-ops
{{- end -}}
{{- end -}}

{{- define "foghorn.eventsService" -}}
{{- default (printf "%s-events" (include "foghorn.fullname" .)) .Values.eventsService.name -}}
{{- end -}}

{{- define "foghorn.hasRedis" -}}
{{- if or .Values.redis.urls .Values.redis.existingSecret .Values.redis.bundled.enabled .Values.seafile.configMap -}}yes{{- end -}}
{{- end -}}

{{- /* Whether this chart makes a Secret: only for what was given as a plain value. */ -}}
{{- define "foghorn.makesSecret" -}}
{{- if or .Values.key.value .Values.key.previous .Values.database.password .Values.redis.urls (include "foghorn.hasSecretSettings" .) -}}yes{{- end -}}
{{- end -}}

{{- define "foghorn.settleByPreStop" -}}
{{- $by := .Values.drain.settleBy -}}
{{- if or (eq $by "preStop") (and (eq $by "auto") (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version)) -}}yes{{- end -}}
{{- end -}}

{{- /* Settle and drain, whoever waits for them, and time to end in. */ -}}
{{- define "foghorn.gracePeriod" -}}
{{- add .Values.drain.settleSeconds .Values.drain.seconds 15 -}}
{{- end -}}

{{- /* The most nodes there can be. */ -}}
{{- define "foghorn.nodes" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{- /* Values that contradict each other are refused here, with what to do; single wrong ones by values.schema.json. */ -}}
{{- define "foghorn.check" -}}
{{- if and (include "foghorn.seafile" .) (not (or .Values.key.value .Values.key.existingSecret .Values.seafile.secret)) -}}
{{- fail "foghorn: there is no key: set seafile.secret (Seafile's own Secret), key.existingSecret or key.value" -}}
{{- end -}}
{{- $nodes := include "foghorn.nodes" . | int -}}
{{- if and (gt $nodes 1) (not (include "foghorn.hasRedis" .)) -}}
{{- fail (printf "foghorn: %d nodes need Redis: set redis.urls, redis.existingSecret or seafile.configMap, or replicaCount to 1" $nodes) -}}
{{- end -}}
{{- if and .Values.redis.bundled.enabled (or .Values.redis.urls .Values.redis.existingSecret) -}}
{{- fail "foghorn: redis.bundled.enabled is for trials without a Redis: take it away, or redis.urls and redis.existingSecret" -}}
{{- end -}}
{{- if and .Values.database.host (not (or .Values.database.password .Values.database.existingSecret .Values.seafile.secret)) -}}
{{- fail "foghorn: database.host needs database.existingSecret, database.password or seafile.secret" -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (not (include "foghorn.isPublic" .)) -}}
{{- fail "foghorn: ingress and gateway have nothing to lead to: set centrifugo.path, inbox.streamPaths or inbox.socketPaths, or take them away" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
{{- fail "foghorn: gateway.enabled needs gateway.parentRefs" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) -}}
{{- fail "foghorn: autoscaling.maxReplicas is below autoscaling.minReplicas" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not (or .Values.autoscaling.connectionsPerNode .Values.autoscaling.cpuUtilization)) -}}
{{- fail "foghorn: autoscaling needs autoscaling.connectionsPerNode or autoscaling.cpuUtilization" -}}
{{- end -}}
{{- /* Services take a change of it, the Deployment does not: they would select nothing. */ -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "foghorn.fullname" .) -}}
{{- $was := get .spec.selector.matchLabels "app.kubernetes.io/name" -}}
{{- if ne $was (include "foghorn.name" $) -}}
{{- fail (printf "foghorn: nameOverride cannot change in a release that runs: its Services would lose their nodes; it was %s" $was) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- if has $name (list "FOGHORN_OPS_ADDR" "NOTIFICATION_SERVER_HOST" "NOTIFICATION_SERVER_PORT" "FOGHORN_SETTLE_SECONDS" "FOGHORN_DRAIN_SECONDS" "JWT_PRIVATE_KEY" "JWT_PRIVATE_KEY_PREVIOUS" "SEAFILE_MYSQL_DB_HOST" "SEAFILE_MYSQL_DB_PASSWORD" "FOGHORN_DB_TLS" "FOGHORN_REDIS_URLS" "FOGHORN_REDIS_PREFIX" "FOGHORN_REDIS_REQUIRED" "NOTIFICATION_SERVER_LOG_LEVEL" "FOGHORN_LOG_FORMAT" "FOGHORN_LOG_TO_STDOUT") -}}
{{- fail (printf "foghorn: settings.%s: the chart sets this from a value of its own" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ops.password .Values.ops.existingSecret -}}
{{- fail "foghorn: ops.password and ops.existingSecret are both set: take one of them away" -}}
{{- end -}}
{{- if and .Values.settings.FOGHORN_OPS_PASSWORD (or .Values.ops.password .Values.ops.existingSecret) -}}
{{- fail "foghorn: settings.FOGHORN_OPS_PASSWORD is set beside ops.password or ops.existingSecret: take one of them away" -}}
{{- end -}}
{{- $tls := .Values.redis.tls -}}
{{- if and $tls.existingSecret (ne (empty $tls.certificate) (empty $tls.key)) -}}
{{- fail "foghorn: redis.tls.certificate and redis.tls.key go together" -}}
{{- end -}}
{{- $v1 := .Values.centrifugo -}}
{{- if and $v1.config $v1.existingSecret -}}
{{- fail "foghorn: centrifugo.config and centrifugo.existingSecret are both set: take one of them away" -}}
{{- end -}}
{{- if and (include "foghorn.centrifugoFile" .) .Values.settings.FOGHORN_CENTRIFUGO_CONFIG -}}
{{- fail "foghorn: settings.FOGHORN_CENTRIFUGO_CONFIG is set beside centrifugo.config or centrifugo.existingSecret: take one of them away" -}}
{{- end -}}
{{- if and (or $v1.config $v1.existingSecret $v1.env) (not (include "foghorn.centrifugo" .)) -}}
{{- fail "foghorn: centrifugo.config, existingSecret and env are read where settings.FOGHORN_DIALECTS names centrifugo" -}}
{{- end -}}
{{- end -}}

{{- define "foghorn.fromConfigMap" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $optional := index . 2 -}}
- name: {{ $name }}
  valueFrom:
    configMapKeyRef: {name: {{ $root.Values.seafile.configMap }}, key: {{ get $root.Values.seafile.names $name | default $name }}{{ if $optional }}, optional: true{{ end }}}
{{- end -}}

{{- define "foghorn.fromSecret" -}}
{{- $name := index . 0 -}}{{- $secret := index . 1 -}}{{- $key := index . 2 -}}{{- $optional := index . 3 -}}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ $key }}{{ if $optional }}, optional: true{{ end }}}
{{- end -}}

{{- /* The key alone: what the node and the test need. */ -}}
{{- define "foghorn.keyEnv" -}}
{{- $made := include "foghorn.fullname" . -}}
{{- $names := .Values.seafile.names -}}
{{- if .Values.key.existingSecret -}}
{{ include "foghorn.fromSecret" (list "JWT_PRIVATE_KEY" .Values.key.existingSecret .Values.key.existingSecretKey false) }}
{{ include "foghorn.fromSecret" (list "JWT_PRIVATE_KEY_PREVIOUS" .Values.key.existingSecret .Values.key.existingSecretPreviousKey true) }}
{{- else if .Values.key.value -}}
{{ include "foghorn.fromSecret" (list "JWT_PRIVATE_KEY" $made "JWT_PRIVATE_KEY" false) }}
{{- else if .Values.seafile.secret -}}
{{ include "foghorn.fromSecret" (list "JWT_PRIVATE_KEY" .Values.seafile.secret (get $names "JWT_PRIVATE_KEY" | default "JWT_PRIVATE_KEY") false) }}
{{- end }}
{{- if and .Values.key.previous (not .Values.key.existingSecret) }}
{{ include "foghorn.fromSecret" (list "JWT_PRIVATE_KEY_PREVIOUS" $made "JWT_PRIVATE_KEY_PREVIOUS" false) }}
{{- end }}
{{- end -}}

{{- define "foghorn.databaseEnv" -}}
{{- $made := include "foghorn.fullname" . -}}
{{- $names := .Values.seafile.names -}}
{{- if .Values.database.host -}}
- {name: SEAFILE_MYSQL_DB_HOST, value: {{ .Values.database.host | quote }}}
- {name: SEAFILE_MYSQL_DB_PORT, value: {{ .Values.database.port | quote }}}
- {name: SEAFILE_MYSQL_DB_USER, value: {{ .Values.database.user | quote }}}
- {name: SEAFILE_MYSQL_DB_CCNET_DB_NAME, value: {{ .Values.database.name | quote }}}
{{- else -}}
{{- range list "SEAFILE_MYSQL_DB_HOST" "SEAFILE_MYSQL_DB_PORT" "SEAFILE_MYSQL_DB_USER" "SEAFILE_MYSQL_DB_CCNET_DB_NAME" }}
{{ include "foghorn.fromConfigMap" (list $ . true) }}
{{- end }}
{{- end }}
{{- if .Values.database.existingSecret }}
{{ include "foghorn.fromSecret" (list "SEAFILE_MYSQL_DB_PASSWORD" .Values.database.existingSecret .Values.database.existingSecretKey false) }}
{{- else if .Values.database.password }}
{{ include "foghorn.fromSecret" (list "SEAFILE_MYSQL_DB_PASSWORD" $made "SEAFILE_MYSQL_DB_PASSWORD" false) }}
{{- else if .Values.seafile.secret }}
{{ include "foghorn.fromSecret" (list "SEAFILE_MYSQL_DB_PASSWORD" .Values.seafile.secret (get $names "SEAFILE_MYSQL_DB_PASSWORD" | default "SEAFILE_MYSQL_DB_PASSWORD") true) }}
{{- end }}
{{- if ne .Values.database.tls "off" }}
- {name: FOGHORN_DB_TLS, value: {{ .Values.database.tls | quote }}}
{{- end }}
{{- end -}}

{{- define "foghorn.redisEnv" -}}
{{- $names := .Values.seafile.names -}}
{{- if .Values.redis.existingSecret -}}
{{ include "foghorn.fromSecret" (list "FOGHORN_REDIS_URLS" .Values.redis.existingSecret .Values.redis.existingSecretKey false) }}
{{- else if .Values.redis.urls -}}
{{ include "foghorn.fromSecret" (list "FOGHORN_REDIS_URLS" (include "foghorn.fullname" .) "FOGHORN_REDIS_URLS" false) }}
{{- else if .Values.redis.bundled.enabled -}}
- {name: FOGHORN_REDIS_URLS, value: {{ printf "redis://%s-redis:6379" (include "foghorn.fullname" .) | quote }}}
{{- else if .Values.seafile.configMap -}}
{{- /* Several nodes without Redis would not hear each other: better that their pods do not start. */ -}}
{{ include "foghorn.fromConfigMap" (list . "REDIS_HOST" (eq (include "foghorn.nodes" .) "1")) }}
{{ include "foghorn.fromConfigMap" (list . "REDIS_PORT" true) }}
{{ include "foghorn.fromConfigMap" (list . "CACHE_PROVIDER" true) }}
{{- if .Values.seafile.secret }}
{{ include "foghorn.fromSecret" (list "REDIS_PASSWORD" .Values.seafile.secret (get $names "REDIS_PASSWORD" | default "REDIS_PASSWORD") true) }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* What opens the console, and what is secret among the settings. */ -}}
{{- define "foghorn.secretEnv" -}}
{{- if not .Values.settings.FOGHORN_OPS_PASSWORD }}
{{ include "foghorn.fromSecret" (list "FOGHORN_OPS_PASSWORD" (include "foghorn.opsSecret" .) (ternary .Values.ops.existingSecretKey "FOGHORN_OPS_PASSWORD" (not (empty .Values.ops.existingSecret))) false) }}
{{- end }}
{{- range $name := splitList " " (include "foghorn.secretSettings" .) }}
{{- if hasKey $.Values.settings $name }}
{{ include "foghorn.fromSecret" (list $name (include "foghorn.fullname" $) $name false) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "foghorn.redisTlsEnv" -}}
{{- with .Values.redis.tls -}}
{{- if .existingSecret -}}
{{- with .ca }}
- {name: FOGHORN_REDIS_CA, value: {{ printf "/etc/foghorn/redis/%s" . | quote }}}
{{- end }}
{{- with .certificate }}
- {name: FOGHORN_REDIS_CERT, value: {{ printf "/etc/foghorn/redis/%s" . | quote }}}
{{- end }}
{{- with .key }}
- {name: FOGHORN_REDIS_KEY, value: {{ printf "/etc/foghorn/redis/%s" . | quote }}}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A number as it was written: Helm reads 4194304 as 4.194304e+06. */ -}}
{{- define "foghorn.plain" -}}
{{- if kindIs "float64" . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Whether users' inboxes are served. */}}
{{- define "foghorn.inbox" -}}
{{- if has "inbox" (splitList "," (nospace (toString (default "" .Values.settings.FOGHORN_DIALECTS)))) -}}yes{{- end -}}
{{- end -}}

{{/* Whether Seafile's protocol is spoken, which is the one that needs a key. */}}
{{- define "foghorn.seafile" -}}
{{- if has "seafile" (splitList "," (nospace (toString (default "seafile" .Values.settings.FOGHORN_DIALECTS)))) -}}yes{{- end -}}
{{- end -}}

{{/* Whether Centrifugo's protocol is spoken. */}}
{{- define "foghorn.centrifugo" -}}
{{- if has "centrifugo" (splitList "," (nospace (toString (default "" .Values.settings.FOGHORN_DIALECTS)))) -}}yes{{- end -}}
{{- end -}}

{{/* Whether any path is for people's clients. */}}
{{- define "foghorn.isPublic" -}}
{{- $v1 := and (include "foghorn.centrifugo" .) .Values.centrifugo.path -}}
{{- $inbox := and (include "foghorn.inbox" .) (concat .Values.inbox.streamPaths .Values.inbox.socketPaths) -}}
{{- if or (include "foghorn.seafile" .) $v1 $inbox -}}yes{{- end -}}
{{- end -}}

{{/* Ports nodes may connect to: those that are named, and those of the URLs among the values. What stands in Secrets is not seen here. */}}
{{- define "foghorn.egressPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.egressPorts -}}{{- $ports = append $ports (include "foghorn.plain" .) -}}{{- end -}}
{{- if .Values.database.host -}}{{- $ports = append $ports (include "foghorn.plain" .Values.database.port) -}}{{- end -}}
{{- if .Values.redis.bundled.enabled -}}{{- $ports = append $ports "6379" -}}{{- end -}}
{{- $usual := dict "redis" "6379" "rediss" "6379" "redis-cluster" "6379" "rediss-cluster" "6379" "redis-sentinel" "26379" "rediss-sentinel" "26379" "mqtt" "1883" "mqtts" "8883" "http" "80" "https" "443" -}}
{{- $urls := .Values.redis.urls -}}
{{- range $name := list "FOGHORN_INBOX_BROKER_URL" "FOGHORN_INBOX_SESSION_REDIS_URL" "FOGHORN_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" "OTEL_EXPORTER_OTLP_ENDPOINT" -}}
{{- with get $.Values.settings $name -}}{{- $urls = append $urls . -}}{{- end -}}
{{- end -}}
{{- range $urls -}}
{{- $scheme := "" -}}
{{- /* Several hosts, or several URLs, with commas between them. */ -}}
{{- range splitList "," (toString .) -}}
{{- $host := trim . -}}
{{- if contains "://" $host -}}{{- $scheme = first (splitList "://" $host) -}}{{- $host = last (splitList "://" $host) -}}{{- end -}}
{{- $host = regexReplaceAll "^.*@" (regexReplaceAll "[/?].*$" $host "") "" -}}
{{- with trimPrefix ":" (regexFind ":[0-9]+$" $host) | default (get $usual $scheme) -}}{{- $ports = append $ports . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- join " " (uniq $ports) -}}
{{- end -}}

{{/* The entry of a Secret with Centrifugo's configuration; empty: there is none. */}}
{{- define "foghorn.centrifugoFile" -}}
{{- with .Values.centrifugo -}}
{{- if .existingSecret -}}{{ .existingSecretKey }}{{- else if .config -}}config.json{{- end -}}
{{- end -}}
{{- end -}}

{{/* The port stays the Services', whatever that configuration says. */}}
{{- define "foghorn.centrifugoEnv" -}}
{{- if include "foghorn.centrifugo" . -}}
- {name: NOTIFICATION_SERVER_PORT, value: "8083"}
{{- with include "foghorn.centrifugoFile" . }}
- {name: FOGHORN_CENTRIFUGO_CONFIG, value: {{ printf "/etc/foghorn/centrifugo/%s" . | quote }}}
{{- end }}
{{- range $name, $value := .Values.centrifugo.env }}
{{ include "foghorn.fromSecret" (list $name (printf "%s-centrifugo" (include "foghorn.fullname" $)) $name false) }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Where event streams come in. */}}
{{- define "foghorn.streamsPort" -}}
{{- regexFind "[0-9]+$" (toString (default "0.0.0.0:3000" .Values.settings.FOGHORN_SSE_ADDR)) -}}
{{- end -}}

{{/* What is spoken there. */}}
{{- define "foghorn.streamsProtocol" -}}
{{- ternary "https" "http" (not (empty .Values.settings.FOGHORN_SSE_TLS_CERT)) -}}
{{- end -}}

{{/* Where inboxes' WebSockets come in. */}}
{{- define "foghorn.socketsPort" -}}
{{- regexFind "[0-9]+$" (toString (default "0.0.0.0:3030" .Values.settings.FOGHORN_INBOX_ADDR)) -}}
{{- end -}}
