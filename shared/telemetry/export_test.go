package telemetry

// Configured says which signals the variables switch on.
func Configured() (on []string, err error) {
	for _, s := range []signal{traces, metrics} {
		is, err := s.on()
		if err != nil {
			return nil, err
		}
		if is {
			on = append(on, string(s))
		}
	}
	return on, nil
}

// NewErrorLog logs what goes wrong.
func NewErrorLog() interface{ Handle(error) } { return &rarely{} }
