package localknative_test
import ("testing";"net";"context";"time";"github.com/insights-onprem/cost-sources/functions/dev/localknative")
func TestZZ(t *testing.T){
	silent,_:=net.Listen("tcp","127.0.0.1:0"); defer silent.Close()
	s:=localknative.Source{Brokers:[]string{silent.Addr().String()},Topic:"a",Group:"g",Namespace:"n",Name:"x",SinkURL:"http://localhost:1/"}
	ctx,c:=context.WithCancel(t.Context()); go func(){ time.Sleep(500*time.Millisecond); c() }()
	st:=time.Now(); err:=s.Run(ctx); t.Log(time.Since(st),err)
}
