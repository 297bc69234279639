#!/usr/bin/env bash
# Brings cost-sources to a cluster with Knative Serving and Eventing, or brings it up to date:
#
#   deploy.sh [-s SETTINGS] [deploy] [--dry-run]   all of it; the same again changes nothing. upgrade is the same
#   deploy.sh [-s SETTINGS] preflight              only what is wrong with the addresses outside, seen from inside
#   deploy.sh [-s SETTINGS] rollback               traffic to the revisions that had it before the last deployment
#   deploy.sh [-s SETTINGS] dead-letters ...       the command dead-letters, in the cluster
#   deploy.sh [-s SETTINGS] migrate ...            the command migrate alone, as with --adopt; a deployment has it without
#   deploy.sh [-s SETTINGS] after-restore ...      the command after-restore, in the cluster
#   deploy.sh [-s SETTINGS] images [ARCHIVE]       builds the images and pushes them, or writes them to an archive
#   deploy.sh [-s SETTINGS] render [FOLDER]        the manifests, one file each
#
# SETTINGS holds what is to be other than in settings/settings.env, which says what there is. KUBECTL, KN, KUSTOMIZE and KO
# say how these are called.
#
# It deletes nothing but finished Jobs: the offsets of a KafkaSource, and the topic of some KafkaSinks, go with them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
read -ra kubectl <<<"${KUBECTL:-kubectl}"
read -ra kn <<<"${KN:-kn}"
read -ra kustomize <<<"${KUSTOMIZE:-kubectl kustomize}"
read -ra ko <<<"${KO:-go run github.com/google/ko@v0.19.1}"
functions=(sources applications provisioner ros-cleanup relay)
commands=(preflight migrate dead-letters after-restore)
strimzi=v1beta2 # the version of its topics, until the cluster has said which it serves
wait_for=300s

say() { echo "deploy: $*" >&2; }
die() { say "$*"; exit 1; }
k() { "${kubectl[@]}" -n "$namespace" "$@"; }

declare -A setting # by name
read_settings() { # FILE: over what was read before
  local line name
  while IFS= read -r line || [[ -n $line ]]; do
    [[ -n $line && $line != \#* ]] || continue
    name=${line%%=*}
    [[ $line == *=* && ($1 == "$defaults" || -v setting[$name]) ]] || die "$1: there is no setting '$name'"
    setting[$name]=${line#*=}
  done <"$1"
}

components=()
check_settings() {
  case ${setting[KAFKA_AUTH]} in
    none) ;;
    sasl) components+=(kafka-secret kafka-sasl) ;;
    sasl-tls) components+=(kafka-secret kafka-sasl kafka-tls) ;;
    tls) components+=(kafka-secret kafka-tls) ;;
    mtls) components+=(kafka-secret kafka-tls kafka-mtls) ;;
    *) die "KAFKA_AUTH has to be none, sasl, sasl-tls, tls or mtls" ;;
  esac
  case ${setting[TOPICS]} in
    create | exist) ;;
    strimzi) components+=(strimzi-topics) ;;
    *) die "TOPICS has to be create, strimzi or exist" ;;
  esac
  case ${setting[DATABASE_SECRET]} in
    env) ;;
    file) components+=(database-file) ;;
    *) die "DATABASE_SECRET has to be env or file" ;;
  esac
  case ${setting[DATABASE_LOGINS]} in
    one | each) ;;
    *) die "DATABASE_LOGINS has to be one or each" ;;
  esac
  case ${setting[PRIVATE_CA]} in
    false) ;;
    true) components+=(private-ca) ;;
    *) die "PRIVATE_CA has to be true or false" ;;
  esac
  case ${setting[INTEROP]} in
    false) components+=(no-interop) ;;
    true) functions+=(interop) ;;
    *) die "INTEROP has to be true or false" ;;
  esac
  case ${setting[MONITORING]} in
    false) ;;
    true) components+=(../monitoring) ;;
    *) die "MONITORING has to be true or false" ;;
  esac
  [[ -n ${setting[VERSION]} && ${setting[VERSION]} != latest ]] || die "VERSION has to name one version, so that there is one to go back to"
  [[ ${setting[TOPIC]} != "${setting[DEAD_TOPIC]}" ]] || die "DEAD_TOPIC has to be another one than TOPIC: a dead letter would come back for ever"
  [[ ${setting[LEGACY_TOPIC]} != "${setting[TOPIC]}" && ${setting[LEGACY_TOPIC]} != "${setting[DEAD_TOPIC]}" ]] || die "LEGACY_TOPIC has to be another one than TOPIC and DEAD_TOPIC: a plain record would come back as an event"
  [[ -f $here/overlays/${setting[OVERLAY]}/kustomization.yaml ]] || die "OVERLAY has to be one of: $(cd "$here/overlays" && echo *)"
}

# The digests of this version's images, if `images` built them.
images_file() { echo "$(dirname "$settings")/images-${setting[VERSION]}.txt"; }

image() { # NAME: by digest if that is known, else by tag
  local file ref; file=$(images_file)
  if [[ -f $file ]]; then
    ref=$(grep -E "/$1(:[^@/]*)?@" "$file") || die "$file does not have the image $1"
    echo "{name: cost-sources/$1, newName: $(sed 's/[:@][^/]*$//' <<<"$ref"), digest: ${ref##*@}}"
  else
    echo "{name: cost-sources/$1, newName: ${setting[IMAGE_REPOSITORY]}/$1, newTag: \"${setting[VERSION]}\"}"
  fi
}

json_list() { # WORD...
  local word list=''
  for word in "$@"; do word=${word//\\/\\\\} list+=", \"${word//\"/\\\"}\""; done
  echo "[${list#, }]"
}

patch() { # TARGET PATH JSON
  local quoted=${3//\'/\'\'}
  echo "- {target: {$1}, patch: '[{\"op\": \"add\", \"path\": \"$2\", \"value\": $quoted}]'}"
}

site() { # the kustomization that the settings amount to
  local name; local -A images
  for name in "${functions[@]}" "${commands[@]}"; do images[$name]=$(image "$name"); done
  cat <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../overlays/${setting[OVERLAY]}]
components: [$(IFS=,; echo "${components[*]/#/../components/}")]
labels:
- pairs: {app.kubernetes.io/version: "${setting[VERSION]}"}
  fields: [{group: serving.knative.dev, kind: Service, path: spec/template/metadata/labels, create: true}]
images:
$(printf -- '- %s\n' "${images[@]}")
patches:
YAML
  local brokers; IFS=, read -ra brokers <<<"${setting[KAFKA_BOOTSTRAP]}"
  patch 'kind: KafkaSink' /spec/bootstrapServers "$(json_list "${brokers[@]}")"
  patch 'kind: KafkaSource' /spec/bootstrapServers "$(json_list "${brokers[@]}")"
  local args=(); [[ $command != migrate ]] || args=("${arguments[@]:1}")
  patch 'kind: Job, name: migrate' /spec/template/spec/containers/0/args "$(json_list "${args[@]}")"
  [[ ${setting[DATABASE_LOGINS]} == one ]] || each_login
  [[ ${setting[TOPICS]} != strimzi ]] || strimzi_topics
  patch 'kind: Job, name: dead-letters|after-restore' /spec/template/spec/containers/0/args "$(json_list "${arguments[@]:1}")"
}

# The key of the database's address is the function's name; every-function.yaml has it as the first variable.
each_login() {
  local name
  for name in "${functions[@]}"; do
    case ${setting[DATABASE_SECRET]} in
      env) patch "kind: Service, name: $name" /spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/key "\"$name\"" ;;
      file) patch "kind: Service, name: $name" /spec/template/spec/containers/0/env/0/value "\"/etc/cost-sources/database/$name\"" ;;
    esac
  done
}

# Strimzi takes no number for what the brokers are set to, but none at all; and each of its releases serves other versions.
strimzi_topics() {
  [[ ${setting[TOPIC_REPLICATION]} == -1 ]] || patch 'kind: KafkaTopic' /spec/replicas "${setting[TOPIC_REPLICATION]}"
  patch 'kind: KafkaTopic' /apiVersion "\"kafka.strimzi.io/$strimzi\""
}

# One file for each object, named by its kind and its name, and before them its namespace if that is not ours.
render() { # [FOLDER]; without one all to stdout
  local name file
  rm -rf "$work/knative"
  cp -r "$here" "$work/knative"
  mkdir -p "$work/knative/site" ${1:+"$1"}
  for name in "${!setting[@]}"; do echo "$name=${setting[$name]}"; done >"$work/knative/settings/settings.env"
  site >"$work/knative/site/kustomization.yaml"
  "${kustomize[@]}" "$work/knative/site" ${1:+-o "$1"}
  [[ -n ${1:-} ]] || return 0
  for file in "$1/${namespace}"_*; do # kustomize names the namespace where there are several
    [[ ! -e $file ]] || mv "$file" "$1/${file#"$1/${namespace}_"}"
  done
}

# What has to be there before anything can be brought.
check_cluster() {
  local crd secret served
  "${kubectl[@]}" get --raw /version >/dev/null 2>"$work/error" || die "no cluster is in reach: $(cat "$work/error")"
  for crd in $(needed_crds); do
    served=$("${kubectl[@]}" get crd "$crd" -o 'jsonpath={.spec.versions[?(@.served==true)].name}' 2>"$work/error") ||
      die "the cluster has no $crd; Knative Serving, Eventing and its Kafka sink and source are needed, and what the settings name: $(cat "$work/error")"
    [[ $crd != kafkatopics.* || " $served " != *' v1 '* ]] || strimzi=v1
  done
  "${kubectl[@]}" get namespace "$namespace" >/dev/null 2>&1 || die "there is no namespace $namespace"
  for secret in cost-sources-database cost-sources-ros $(needed_secrets); do
    k get secret "$secret" >/dev/null 2>&1 || die "namespace $namespace has no secret $secret; see $here/settings/settings.env"
  done
}

needed_crds() {
  echo services.serving.knative.dev sinkbindings.sources.knative.dev pingsources.sources.knative.dev \
    kafkasinks.eventing.knative.dev kafkasources.sources.knative.dev
  [[ ${setting[TOPICS]} != strimzi ]] || echo kafkatopics.kafka.strimzi.io
  [[ ${setting[MONITORING]} != true ]] || echo prometheusrules.monitoring.coreos.com
  [[ ${setting[OVERLAY]} != gateway-api ]] || echo httproutes.gateway.networking.k8s.io referencegrants.gateway.networking.k8s.io
}

needed_secrets() {
  [[ ${setting[AUTH_MODE]} != identity ]] || echo cost-sources-gateway
  [[ ${setting[KAFKA_AUTH]} == none ]] || echo cost-sources-kafka
}

# A webhook of Knative's that restarts refuses everything for some seconds.
patiently() { # COMMAND...
  local try
  for try in $(seq 10); do
    if "$@" 2>"$work/error"; then return; fi
    grep -q 'failed calling webhook' "$work/error" || break
    sleep "$try"
  done
  cat "$work/error" >&2
  return 1
}

apply() { # PATTERN...: the rendered files whose names match
  local pattern file
  for pattern in "$@"; do
    for file in "$work"/out/$pattern; do
      [[ -e $file ]] || continue
      patiently "${kubectl[@]}" apply "${dry_run[@]}" -f "$file" >&2
      mv "$file" "$work/applied/"
    done
  done
}

run_job() { # NAME: runs it to its end, and shows what it said
  local file=$work/out/batch_v1_job_$1.yaml state
  if ((${#dry_run[@]})); then say "$1 would run"; rm "$file"; return; fi
  say "$1"
  k delete job "$1" --ignore-not-found --wait >/dev/null
  apply "$(basename "$file")"
  # Many tenants, or a long topic, take longer than anything else here; who is at work is not given up.
  until ended "$1"; do
    state=$(k get job "$1" -o 'jsonpath={.status.ready}') || die "$1 may be at work still, and goes on without us"
    [[ $state == 1 ]] || break
    say "$1 is still at work: $(k logs "job/$1" --tail=1)"
  done
  k logs "job/$1" >&2 || true
  state=$(k get job "$1" -o 'jsonpath={.status.succeeded}/{.status.failed}') || die "what became of $1 cannot be told"
  [[ $state != 1/* ]] || return 0
  [[ $state == */ ]] || die "$1 failed: ${*:2}"
  die "$1 has not begun within $wait_for: $(k describe job "$1" | sed -n '/^Events:/,$p'; k get pods -l "job-name=$1" 2>&1)"
}

ended() { # JOB: waits for that, for a while
  local complete failed
  "${kubectl[@]}" -n "$namespace" wait --for=condition=complete --timeout="$wait_for" "job/$1" >/dev/null 2>&1 &
  complete=$!
  "${kubectl[@]}" -n "$namespace" wait --for=condition=failed --timeout="$wait_for" "job/$1" >/dev/null 2>&1 &
  failed=$!
  wait -n "$complete" "$failed" || true
  kill "$complete" "$failed" 2>/dev/null || true
  [[ -n $(k get job "$1" -o 'jsonpath={.status.succeeded}{.status.failed}') ]]
}

ready() { # KIND [WHAT]: all of ours of that kind
  ((${#dry_run[@]})) || k wait --for="${2:-condition=Ready}" --timeout="$wait_for" "$1" -l app.kubernetes.io/part-of=cost-sources >/dev/null ||
    die "not ready: $(k get "$1" -l app.kubernetes.io/part-of=cost-sources; reasons "$1")"
}

reasons() { # KIND: what those that are not ready say, of which the table has a word only
  k get "$1" -l app.kubernetes.io/part-of=cost-sources \
    -o 'jsonpath={range .items[*]}{.metadata.name}{range .status.conditions[?(@.status!="True")]}{"\n  "}{.type}: {.message}{end}{"\n"}{end}'
}

serving() { # FUNCTION: the revision that has its traffic, if any
  k get ksvc "$1" --ignore-not-found -o 'jsonpath={.status.traffic[0].revisionName}'
}

previous() { # KEY: of what rollback reads
  k get configmap cost-sources-previous --ignore-not-found -o "jsonpath={.data.$1}"
}

# Traffic stays where it was until the new revision of a function is ready.
apply_functions() {
  local name unfinished kept=(unfinished=true); local -A before=() earlier=()
  unfinished=$(previous unfinished)
  for name in "${functions[@]}"; do
    before[$name]=$(serving "$name")
    earlier[$name]=$(previous "${unfinished:+earlier-}$name")
    [[ -z $unfinished || -z ${before[$name]} ]] || before[$name]=$(previous "$name")
    kept+=("earlier-$name=${earlier[$name]}")
  done
  remember before "${kept[@]}"
  for name in "${functions[@]}"; do
    bound "$name"
    if ((${#dry_run[@]})); then apply "serving.knative.dev_v1_service_$name.yaml"; continue; fi
    patiently "${kn[@]}" service apply "$name" -n "$namespace" -f "$work/out/serving.knative.dev_v1_service_$name.yaml" --no-wait >&2
    mv "$work/out/serving.knative.dev_v1_service_$name.yaml" "$work/applied/"
  done
  ready ksvc
  if moved; then remember before; else remember earlier; fi
}

# The first binding of a cluster takes a moment to reach the webhook that carries it out.
bound() { # FUNCTION
  [[ -e $work/applied/sources.knative.dev_v1_sinkbinding_$1.yaml ]] && ((${#dry_run[@]} == 0)) || return 0
  local file=$work/out/serving.knative.dev_v1_service_$1.yaml
  for _ in $(seq 60); do
    "${kubectl[@]}" apply --dry-run=server -f "$file" -o yaml | grep -q 'name: K_SINK' && return
    sleep 1
  done
  die "$1 is not given K_SINK; a cluster that binds chosen namespaces only wants bindings.knative.dev/include=true on $namespace: $(k get sinkbinding "$1")"
}

moved() { # whether any revision has lost the traffic that it had before
  local name now
  for name in "${functions[@]}"; do
    now=$(serving "$name") || die "where the traffic of $name is cannot be told: deploy again"
    [[ -z ${before[$name]} || $now == "${before[$name]}" ]] || return 0
  done
  return 1
}

# What rollback gives the traffic back to. A deployment that does not come to its end stays unfinished: the next one
# mends it, and what was before the first of them is what there is to go back to; what was there to go back to before
# that (earlier-), where none of them has moved anything.
remember() { # REVISIONS [KEY=VALUE...]: by function
  ((${#dry_run[@]} == 0)) || return 0
  local -n revisions=$1
  local name literals=("${@:2}")
  for name in "${functions[@]}"; do literals+=("$name=${revisions[$name]}"); done
  k create configmap cost-sources-previous "${literals[@]/#/--from-literal=}" --dry-run=client -o yaml | k apply -f - >/dev/null
}

# What even the preflight needs: to be let through to others, and the authorities that it is to trust.
prepare() {
  check_cluster
  render "$work/out"
  apply '*_networkpolicy_*' 'v1_configmap_*'
}

deploy() {
  prepare
  run_job preflight "mend what it says"
  run_job migrate "run it again when that is mended; it goes on where it stopped"
  case ${setting[TOPICS]} in
    create) run_job topics "mend what it says" ;;
    strimzi) apply '*_kafkatopic_*'; ready_topics ;;
  esac
  rm -f "$work"/out/batch_v1_job_{topics,dead-letters,after-restore}.yaml
  apply '*_kafkasink_*'; ready kafkasink
  apply '*_sinkbinding_*'
  apply_functions
  apply '*_kafkasource_*' '*_pingsource_*' '*'
  ready sinkbinding; ready kafkasource; ready pingsource
  ready_entrance
  say "done: $(scheme)://${setting[HOST]}/api/cost-management/v1/sources"
}

ready_entrance() {
  local condition
  case ${setting[OVERLAY]} in
    kourier | openshift) ready ingresses.networking.internal.knative.dev ;;
    gateway-api)
      for condition in Accepted ResolvedRefs; do
        ready httproute "jsonpath={.status.parents[0].conditions[?(@.type=='$condition')].status}=True"
      done ;;
  esac
}

scheme() { # that of what stands in front; Kourier alone has no certificate
  if [[ ${setting[OVERLAY]} == kourier ]]; then echo http; else echo https; fi
}

ready_topics() {
  ((${#dry_run[@]})) || "${kubectl[@]}" -n "${setting[KAFKA_NAMESPACE]}" wait --for=condition=Ready --timeout="$wait_for" \
    kafkatopic -l app.kubernetes.io/part-of=cost-sources >/dev/null
}

preflight() {
  prepare
  run_job preflight "mend what it says"
}

by_hand() { # COMMAND: one for operators, with the arguments of ours
  render "$work/out"
  run_job "$1" "see what it says"
}

migrate() { # ARGUMENT...
  prepare
  run_job migrate "mend what it says, and run it again; it goes on where it stopped"
}

rollback() {
  local name revision found=''
  for name in "${functions[@]}"; do
    revision=$(previous "$name")
    [[ -n $revision ]] || continue # it is new since
    found=true
    say "$name: $(serving "$name") -> $revision"
    ((${#dry_run[@]})) || "${kn[@]}" service update "$name" -n "$namespace" --traffic "$revision=100" --no-wait >&2
  done
  [[ -n $found ]] || die "there is nothing to go back to"
  ready ksvc condition=RoutesReady # and no more: a function whose newest revision is broken is not Ready, whoever has its traffic
}

images() { # [ARCHIVE]
  local name paths=(./migrations/migrate)
  for name in "${functions[@]}" preflight dead-letters after-restore; do paths+=("./functions/$name"); done
  [[ ${setting[INTEROP]} == true ]] || paths+=(./functions/interop) # may be wanted of this version later
  cd "$here/.."
  export KO_DOCKER_REPO=${setting[IMAGE_REPOSITORY]}
  local build=("${ko[@]}" build --base-import-paths --tags "${setting[VERSION]}" --sbom spdx)
  if [[ -n ${1:-} ]]; then # an archive holds one platform
    "${build[@]}" --platform "linux/$(go env GOARCH)" --push=false --tarball "$1" "${paths[@]}"
  else
    "${build[@]}" --image-refs "$work/images" "${paths[@]}"
    mv "$work/images" "$(images_file)"
  fi
}

defaults=$here/settings/settings.env settings=$defaults dry_run=() arguments=()
while (($#)); do
  case $1 in
    -s) settings=${2:?SETTINGS}; shift ;;
    --dry-run) dry_run=(--dry-run=server) ;;
    -h | --help) sed -n '2,/^set/{s/^# \?//p}' "$0"; exit ;;
    dead-letters | after-restore | migrate) arguments+=("$@"); break ;; # the rest is its own
    -*) die "there is no option $1; see --help" ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
command=${arguments[0]:-deploy}
[[ -f $settings ]] || die "there is no file $settings"
settings=$(realpath "$settings")
read_settings "$defaults"
read_settings "$settings"
check_settings
namespace=${setting[NAMESPACE]}
work=$(mktemp -d)
mkdir "$work/applied"
# Not by a wait that is ended before it has become a process of its own.
trap '[[ $BASHPID != $$ ]] || rm -rf "$work"' EXIT
case $command in
  deploy | upgrade) deploy ;;
  preflight | rollback | migrate) "$command" ;;
  dead-letters | after-restore) by_hand "$command" ;;
  images | render) "$command" "${arguments[@]:1}" ;;
  *) die "there is no command '$command'; see --help" ;;
esac
