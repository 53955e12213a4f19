package guest

import (
	"context"
)

// preflightWithout asks cmd.exe for what it can tell of the groups.
func (s *Session) preflightWithout(_ context.Context, ask []Group, why error) (PreflightAnswer, error) {
	all := PreflightAnswer{WithoutPowerShell: true, Reason: why.Error()}
	for _, group := range ask {
		all.Groups = append(all.Groups, GroupFacts{Group: group, Err: why})
	}
	return all, nil
}
