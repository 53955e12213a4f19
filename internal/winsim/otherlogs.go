package winsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// What other parts of Windows log of a run that fails: servicing in CBS.log and
// dism.log, app deployment in its event log.
const (
	fileCBSLog  = folderWindows + `\Logs\CBS\CBS.log`
	fileDISMLog = folderWindows + `\Logs\DISM\dism.log`
	appEvents   = "Microsoft-Windows-AppXDeploymentServer/Operational"
	mostEvents  = 100
)

// logElsewhere writes what others log of a failure.
func (p *preparation) logElsewhere(f setuplog.Failure) {
	g := p.g
	now := g.clock.Now()
	for path, lines := range map[string][]setuplog.Line{fileCBSLog: f.Servicing(), fileDISMLog: f.DISM()} {
		if len(lines) == 0 {
			continue
		}
		old, err := g.drive.ReadFile(path)
		if err != nil {
			old = []byte(setuplog.BOM)
		}
		for _, l := range lines {
			old = append(old, l.Format(now)...)
		}
		if err := g.drive.WriteFile(path, old); err != nil {
			g.logf("sysprep: %v", err)
		}
	}
	if text := f.AppError(p.scenario.Packages); text != "" {
		g.mu.Lock()
		g.appErrors = append(g.appErrors[max(0, len(g.appErrors)-mostEvents+1):], appError{now, text})
		g.mu.Unlock()
	}
}

// appError is an error in the event log of app deployment.
type appError struct {
	at   time.Time
	text string
}

// queryEvents is wevtutil qe with what it takes for the newest errors as text.
func (g *Guest) queryEvents(c *call, args []string) bool {
	most := mostEvents
	text, newest := false, false
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(strings.ToLower(a), ":")
		switch {
		case key == "/q":
		case key == "/c":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return false
			}
			most = n
		case key == "/rd" && value == "true":
			newest = true
		case key == "/f" && value == "text":
			text = true
		default:
			return false
		}
	}
	if !text || !newest || !strings.EqualFold(args[0], appEvents) {
		return false
	}
	g.mu.Lock()
	events := append([]appError(nil), g.appErrors...)
	g.mu.Unlock()
	for i := 0; i < len(events) && i < most; i++ {
		e := events[len(events)-1-i]
		c.say("%s", fmt.Sprintf("Event[%d]", i))
		c.say("%s", "  Log Name: "+appEvents)
		c.say("%s", "  Date: "+e.at.Format("2006-01-02T15:04:05.000"))
		c.say("%s", "  Event ID: 404")
		c.say("%s", "  Level: Error")
		c.say("%s", "  Description: ")
		c.say("%s", e.text)
		c.say("%s", "")
	}
	return true
}
