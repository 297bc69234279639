package sourcesapi

import (
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// An edit is what a body says about a source; nil where it says nothing.
type edit struct {
	name          *string
	cluster       *string
	billingSource sources.Object
	paused        *bool
}

// apply changes src and reports whether it has got its first cluster.
func (e edit) apply(src *sources.Source) (firstCluster bool) {
	if e.name != nil {
		src.Name = *e.name
	}
	if e.cluster != nil {
		firstCluster = src.SetCluster(*e.cluster)
	}
	if e.billingSource != nil {
		src.BillingSource = e.billingSource
	}
	if e.paused != nil {
		src.Paused = *e.paused
	}
	return firstCluster
}

// newSource reads the body of a POST. Its errors blame the first field in the order name, type,
// source_ref, billing_source, paused.
func (a api) newSource(b httpapi.Body) (sources.Source, error) {
	var src sources.Source
	name, err := readName(b)
	if err != nil {
		return src, err
	}
	if name == nil {
		return src, sources.Invalidf("name", "This field is required.")
	}
	if err := checkType(b); err != nil {
		return src, err
	}
	cluster, err := readCluster(b)
	if err != nil {
		return src, err
	}
	if cluster == nil && a.cfg.RefRequired {
		return src, sources.Invalidf("source_ref", "Missing credentials")
	}
	e, err := readEdit(b)
	if err != nil {
		return src, err
	}
	e.apply(&src)
	return src, nil
}

// readEdit reads what PATCH may change, in the same order.
func readEdit(b httpapi.Body) (e edit, err error) {
	if e.name, err = readName(b); err != nil {
		return e, err
	}
	if e.cluster, err = readCluster(b); err != nil {
		return e, err
	}
	if e.billingSource, _, err = b.Object("billing_source"); err != nil {
		return e, err
	}
	paused, ok, err := b.Bool("paused")
	if ok {
		e.paused = &paused
	}
	return e, err
}

func readName(b httpapi.Body) (*string, error) {
	name, ok, err := b.String("name")
	if err != nil || !ok {
		return nil, err
	}
	return &name, sources.CheckName(name)
}

// checkType: one of the two spellings of the type is needed, and there is but one type.
func checkType(b httpapi.Body) error {
	id, hasID, err := b.ID("source_type_id")
	if err != nil {
		return err
	}
	if hasID {
		if err := sources.CheckTypeID(id); err != nil {
			return err
		}
	}
	name, hasName, err := b.String("source_type")
	if err != nil {
		return err
	}
	if hasName {
		return sources.CheckType(name)
	}
	if !hasID {
		return sources.Invalidf("source_type", "Either source_type or source_type_id is required")
	}
	return nil
}

// readCluster reads the cluster id, which comes as source_ref, as credentials, or as both alike.
func readCluster(b httpapi.Body) (*string, error) {
	ref, hasRef, err := b.String("source_ref")
	if err != nil {
		return nil, err
	}
	if hasRef {
		if err := sources.CheckCluster("source_ref", ref); err != nil {
			return nil, err
		}
	}
	id, hasID, err := credentialsCluster(b)
	switch {
	case err != nil:
		return nil, err
	case hasRef && hasID && ref != id:
		return nil, sources.Invalidf("source_ref", "source_ref and authentication name different clusters.")
	case hasRef:
		return &ref, nil
	case hasID:
		return &id, nil
	default:
		return nil, nil
	}
}

func credentialsCluster(b httpapi.Body) (id string, ok bool, err error) {
	const field = "authentication"
	authentication, ok, err := b.Object(field)
	if err != nil || !ok {
		return "", false, err
	}
	credentials, ok, err := httpapi.Body(authentication).Object("credentials")
	if err != nil || !ok {
		return "", false, httpapi.InField(field, err)
	}
	id, ok, err = httpapi.Body(credentials).String("cluster_id")
	if err != nil || !ok {
		return "", false, httpapi.InField(field, err)
	}
	return id, true, sources.CheckCluster(field, id)
}
