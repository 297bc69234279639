package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
)

// tell says how to use what runs, in commands that can be pasted. The cluster id is another one each
// time, as a cluster can be registered once.
func tell(out io.Writer, url string, e *engines) {
	identity := base64.StdEncoding.EncodeToString([]byte(`{"identity": {"org_id": "1234567", "account_number": "7890123", "type": "User", ` +
		`"user": {"username": "admin", "email": "admin@example.com", "is_org_admin": true}}, ` +
		`"entitlements": {"cost_management": {"is_entitled": true}}}`))
	cluster := time.Now().UTC().Format("cluster-20060102-150405")
	fmt.Fprintf(out, `
cost-sources is ready; Ctrl-C ends it.

  base URL       %[1]s
  description    %[7]s/docs
  database       %[2]s
  ROS database   %[3]s
  Kafka broker   %[4]s

Register a cluster:

  curl -s %[1]s/sources/ -H 'X-Rh-Identity: %[5]s' -H 'Content-Type: application/json' -d '{"name": "%[6]s", "source_type_id": "1", "source_ref": "%[6]s"}'

See its provider ("provider_linked": true):

  curl -s '%[1]s/sources/?name=%[6]s' -H 'X-Rh-Identity: %[5]s'

`, url+httpapi.Prefix, e.databaseURL, e.rosURL, strings.Join(e.brokers, ","), identity, cluster, url)
}
