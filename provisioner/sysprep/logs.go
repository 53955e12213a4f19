package sysprep

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// checkLogDirectory tries log_directory before the guest is touched: after a
// failed run it is too late to find out that the logs cannot be kept.
func (c *Config) checkLogDirectory() (errs []error) {
	if c.LogDirectory == "" || strings.Contains(c.LogDirectory, unknown) {
		return nil
	}
	paths := []string{c.LogDirectory}
	for _, folder := range logFolders {
		paths = append(paths, filepath.Join(c.LogDirectory, folder.host))
	}
	for _, path := range paths {
		if err := hostfile.WritableFolder(path); err != nil {
			return []error{fmt.Errorf("log_directory: %w", err)}
		}
	}
	for _, path := range c.logFiles() {
		if err := hostfile.Writable(path, c.answerFiles()...); err != nil {
			errs = append(errs, fmt.Errorf("log_directory: %w", err))
		}
	}
	return errs
}

// logFiles are all that may be written into log_directory.
func (c *Config) logFiles() (paths []string) {
	for _, folder := range logFolders {
		for _, name := range logNames {
			paths = append(paths, filepath.Join(c.LogDirectory, folder.host, name))
		}
	}
	return paths
}

// answerFiles are the files that the options name for reading.
func (c *Config) answerFiles() []string {
	if c.AnswerFile == "" || strings.Contains(c.AnswerFile, unknown) {
		return nil
	}
	return []string{c.AnswerFile}
}

// writeLog keeps a log whole or not at all. It replaces no answer file.
func (c *Config) writeLog(ctx context.Context, path string, content []byte) error {
	if err := hostfile.Writable(path, c.answerFiles()...); err != nil {
		return err
	}
	return hostfile.WriteFile(ctx, path, content)
}
