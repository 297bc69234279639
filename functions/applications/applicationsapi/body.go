package applicationsapi

import (
	"strconv"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// view is an application as every response shows it (contract section 2.2).
type view struct {
	ID                string         `json:"id"`
	SourceID          string         `json:"source_id"`
	ApplicationTypeID string         `json:"application_type_id"`
	Extra             sources.Object `json:"extra"`
	Created           sources.Time   `json:"created_timestamp"`
	Updated           sources.Time   `json:"updated_timestamp"`
}

func viewOf(src sources.Source) view {
	a := src.Application
	return view{
		ID:                strconv.FormatInt(a.ID, 10),
		SourceID:          strconv.FormatInt(src.ID, 10),
		ApplicationTypeID: strconv.Itoa(sources.ApplicationTypeID),
		Extra:             a.ShownExtra(src.ClusterID),
		Created:           sources.Time{Time: a.CreatedAt},
		Updated:           sources.Time{Time: a.UpdatedAt},
	}
}

// readSourceID reads which source a POST is about, and refuses a type of application that there is not.
func readSourceID(b httpapi.Body) (string, error) {
	id, ok, err := b.ID("source_id")
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", sources.Invalidf("source_id", "This field is required.")
	case !sources.IsID(id):
		return "", sources.Invalidf("source_id", "A valid source id is required.")
	}
	return id, checkType(b)
}

func checkType(b httpapi.Body) error {
	kind, ok, err := b.ID("application_type_id")
	if err != nil || !ok || sources.IsApplicationTypeID(kind) {
		return err
	}
	return sources.Invalidf("application_type_id", "Only application_type_id '%d' (cost-management) is supported", sources.ApplicationTypeID)
}

func readExtra(b httpapi.Body) (sources.Object, error) {
	extra, _, err := b.Object("extra")
	return extra, err
}

// readCluster reads the cluster id out of extra; it is empty where there is none.
func readCluster(extra sources.Object) (string, error) {
	const field = "extra"
	cluster, ok, err := httpapi.Body(extra).String("cluster_id")
	if err != nil || !ok {
		return "", httpapi.InField(field, err)
	}
	return cluster, sources.CheckCluster(field, cluster)
}
