package deadletters

import (
	"errors"
	"strings"
)

// A choice is which letters an operator means: those with one of the ids, if there are any, and with a
// reason that contains the text.
type choice struct {
	ids    map[string]bool // whether a letter has it
	reason string
}

func (c *choice) addID(id string) error {
	if id == "" {
		return errors.New("no event has an empty id")
	}
	if c.ids == nil {
		c.ids = make(map[string]bool)
	}
	c.ids[id] = false
	return nil
}

func (c *choice) setReason(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("every reason contains an empty text")
	}
	c.reason = text
	return nil
}

// takes reports whether l is meant, and remembers which ids there are.
func (c *choice) takes(l letter) bool {
	if len(c.ids) > 0 {
		if l.event == nil {
			return false
		}
		if _, meant := c.ids[l.event.ID()]; !meant {
			return false
		}
		c.ids[l.event.ID()] = true
	}
	return strings.Contains(l.reason, c.reason)
}

// missing are the ids that no letter has.
func (c *choice) missing() []string {
	var missing []string
	for id, found := range c.ids {
		if !found {
			missing = append(missing, id)
		}
	}
	return missing
}
