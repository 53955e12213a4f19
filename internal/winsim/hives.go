package winsim

import (
	"fmt"
)

// hives are the files of the registry with the name in their base block.
var hives = []string{"SYSTEM", "SOFTWARE"}

func hivePath(name string) string { return folderSystem32 + `\config\` + name }

// Flush writes the registry to its hive files.
func (g *Guest) Flush() error {
	g.flushing.Lock()
	defer g.flushing.Unlock()
	for _, name := range hives {
		if err := g.drive.WriteFile(hivePath(name), g.reg.Hive(name)); err != nil {
			return fmt.Errorf("writing hive %s: %w", name, err)
		}
	}
	return nil
}

func (g *Guest) load() error {
	for _, name := range hives {
		content, err := g.drive.ReadFile(hivePath(name))
		if err != nil {
			return fmt.Errorf("reading hive %s: %w", name, err)
		}
		if err := g.reg.Load(name, content); err != nil {
			return fmt.Errorf("reading hive %s: %w", name, err)
		}
	}
	return g.loadTasks()
}
