package manifests

import (
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
)

// alerts: an expression that Prometheus cannot read takes the whole group with it, and nobody is alarmed by that.
func alerts(r *monitoring.PrometheusRule, _ *Rendering, p *problems) {
	for _, group := range r.Spec.Groups {
		for _, rule := range group.Rules {
			_, err := parser.ParseExpr(rule.Expr.String())
			p.unless(err == nil, "%s%s: %v", rule.Alert, rule.Record, err)
			p.unless(rule.Record != "" || rule.Annotations["summary"] != "", "%s says nothing in its summary", rule.Alert)
		}
	}
}
