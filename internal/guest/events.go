package guest

import (
	"context"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// AppErrors are the newest errors in the event log of app deployment, the newest
// first, as text in the guest's language (wevtutil,
// https://learn.microsoft.com/windows-server/administration/windows-commands/wevtutil).
// A Windows without that log has none.
func (s *Session) AppErrors(ctx context.Context) ([]byte, error) {
	ask := call("wevtutil qe ? /q:? /c:20 /rd:true /f:text", windows.AppEvents, "*[System[(Level=1 or Level=2)]]")
	out, _, err := s.run(ctx, all(echo("events"), ask), Request{}, readLimit)
	if err != nil {
		return nil, fmt.Errorf("reading the events of app deployment: %w", err)
	}
	text, found := behind(out.kept, "events")
	if !found {
		return nil, fmt.Errorf("reading the events of app deployment: %w", readAnswer(string(out.kept)).unreadable())
	}
	return text, nil
}
