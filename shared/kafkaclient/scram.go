package kafkaclient

import (
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

var scramHashes = map[string]scram.HashGeneratorFcn{
	sarama.SASLTypeSCRAMSHA256: scram.SHA256,
	sarama.SASLTypeSCRAMSHA512: scram.SHA512,
}

// A scramLogin is one login, as Sarama wants to be given it.
type scramLogin struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

// Begin is told who logs in.
func (l *scramLogin) Begin(user, password, authorization string) error {
	client, err := l.hash.NewClient(user, password, authorization)
	if err != nil {
		return err
	}
	l.conversation = client.NewConversation()
	return nil
}

// Step answers the broker.
func (l *scramLogin) Step(challenge string) (string, error) { return l.conversation.Step(challenge) }

// Done is whether all has been said.
func (l *scramLogin) Done() bool { return l.conversation.Done() }
