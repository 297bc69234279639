package retire_test

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/functions/retire-tenants/retire"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// errLoaded is what the configuration of TestFlags ends with: a command line that is in order gets so far.
var errLoaded = errors.New("in order")

func TestFlags(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ args, want string }{
		{"", errLoaded.Error()},
		{"-for 1h -org a -org b", errLoaded.Error()},
		{"-apply -dump d -pg-dump p -for 1ns", errLoaded.Error()},
		{"-h", flag.ErrHelp.Error()},
		{"list", `unexpected argument "list"`},
		{"-for 0", "-for has to be longer than 0"},
		{"-for -1h", "-for has to be longer than 0"},
		{"-for 90", `invalid value "90" for flag -for: parse error`},
		{"-org=", `invalid value "" for flag -org: no organization has such an id`},
		{"-org \xff", `invalid value "\xff" for flag -org: no organization has such an id`},
		{"-apply", "-apply needs -dump: nothing is dropped without a dump"},
		{"-apply -dump=", "-apply needs -dump: nothing is dropped without a dump"},
		{"-dump d", "-dump without -apply writes nothing"},
		{"-drop", "flag provided but not defined: -drop"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()

			var args []string
			if tt.args != "" {
				args = strings.Split(tt.args, " ")
			}
			var out, said bytes.Buffer
			err := retire.Run(t.Context(), func() (store.Config, error) { return store.Config{}, errLoaded }, args, &out, &said)
			if errText(err) != tt.want || out.Len() > 0 {
				t.Errorf("error %q, want %q; stdout %q", errText(err), tt.want, &out)
			}
			if help := errors.Is(err, flag.ErrHelp); help != (said.Len() > 0) {
				t.Errorf("stderr %q", &said)
			}
		})
	}
}
