// Package manifests checks what knative/ brings to a cluster, without a cluster: it has deploy.sh put an overlay and
// the settings together, renders that with kustomize, decodes every object as strictly as the API server does, has
// Knative's own defaulting and validation look at Knative's objects, and holds them to rules of ours.
//
// It is a module of its own, so that no function depends on Knative or on Kubernetes.
package manifests
