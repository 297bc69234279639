#!/usr/bin/env bash
# Runs the tests in a cluster: the one that KUBECONFIG names, or else a one-node cluster, which CLUSTER brings up.
# Arguments go to the tests.
#
# For another cluster SETTINGS names a file for knative/deploy.sh with what is particular about it (IMAGE_REPOSITORY
# with the images VERSION and NEXT_VERSION of everything, and VERSION of empty and stranger of this folder), GATEWAY the URL
# of its ingress, E2E_HOST an address of this machine that its pods reach. DATABASE_URL, ROS_DATABASE_URL and
# KAFKA_BROKERS name servers that are there already, with nothing of ours in them. Namespaces labelled
# cost-sources-e2e are removed. FIGURES names a file for the table that TestFigures prints.
set -euo pipefail
cd "$(dirname "$0")/../.."

make build
CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./tests/e2e/empty ./tests/e2e/stranger
# Debian's kubectl knows no components.
GOBIN=$PWD/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
export KUSTOMIZE=${KUSTOMIZE:-$PWD/bin/kustomize build}
go test -tags e2e -race -c -o bin/e2e.test ./tests/e2e

inside=()
if [[ -z ${KUBECONFIG:-} ]]; then
  cluster=$(realpath "${CLUSTER:-../shared/cluster/cluster}")
  bin/e2e.test -fetch # there is no way out of the node's network
  if ! "$cluster" kubectl get --raw /readyz >/dev/null 2>&1; then
    # What an earlier one left behind where it was killed would be taken for this one's: its sockets, and the ids of
    # its processes, which may be anybody's by now.
    home=${CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/one-node-cluster}
    for file in "$home"/run/pid/*; do
      [[ -e $file ]] && ! ip netns pids one-node 2>/dev/null | grep -qx "$(<"$file")" && rm "$file"
    done
    "$cluster" down
    trap '"$cluster" down' EXIT
    "$cluster" up
  fi
  # It lets Knative's parts have a fiftieth of a processor each, and ends them for being slow where they need more.
  "$cluster" kubectl --namespace knative-serving set resources deployment --all --limits=cpu=2
  "$cluster" kubectl --namespace knative-serving rollout status deployment --timeout=3m
  for image in sources applications provisioner ros-cleanup relay preflight migrate dead-letters after-restore interop empty stranger; do
    "$cluster" load "dev.local/$image:e2e-1" "bin/$image"
    "$cluster" load "dev.local/$image:e2e-2" "bin/$image"
  done
  inside=("$cluster" exec)
  export KN="$cluster kn"
  set -- -at-once=6 "$@" # its ingress makes only five new connections a second
fi
cd tests/e2e
"${inside[@]}" ../../bin/e2e.test -test.v -test.shuffle=on -test.timeout=40m "$@"
