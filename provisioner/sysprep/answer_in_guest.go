package sysprep

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

// fetchAnswer reads the answer file that answer_file_in_guest names. Nothing was
// done to the guest by then.
func (r *run) fetchAnswer(ctx context.Context) error {
	pattern := r.config.AnswerFileInGuest
	if pattern == "" {
		return nil
	}
	var path string
	var content []byte
	err := r.patiently(ctx, func() error {
		files, err := r.session.FindFiles(ctx, pattern)
		if err != nil {
			return err
		}
		if path, err = theOne(pattern, files); err != nil {
			return err
		}
		content, err = r.session.Fetch(ctx, path, answerfile.MaxSize+1)
		return err
	})
	if guest.Unanswered(err) {
		return untouched(fmt.Errorf("sysprep was not started: %w", err), unanswered)
	}
	if err != nil {
		return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: answer_file_in_guest: %w", err), "correct answer_file_in_guest, or have an earlier provisioner put the file there")
	}
	file, err := answerfile.Parse(content)
	if err != nil {
		var bad *answerfile.Error
		if errors.As(err, &bad) {
			bad.Name = path + " of the guest"
		}
		return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: %w", err), "correct the file in the guest, or give answer_file")
	}
	a := &r.config.answer
	a.name, a.given, a.base = path+" of the guest", content, file
	a.content, a.file = content, file
	r.scrub.hide(r.config.secrets(r.hidden))
	r.ui.Sayf("The answer file is %s of the guest", path)
	return nil
}

// theOne is the file that a pattern has to name.
func theOne(pattern string, files []string) (string, error) {
	switch len(files) {
	case 0:
		return "", fmt.Errorf("no file in the guest is %s", pattern)
	case 1:
		return files[0], nil
	}
	return "", fmt.Errorf("%d files in the guest are %s: %s", len(files), pattern, strings.Join(files[:min(len(files), 5)], ", "))
}

// judgeFetched refuses an answer file of the guest that Windows would refuse,
// merged with the block: Packer has seen it only now.
// Components for another architecture are warned of, as in any answer file.
func (r *run) judgeFetched() error {
	if r.config.AnswerFileInGuest == "" {
		return nil
	}
	var errs []error
	for _, f := range finding.Failed(r.config.lint(""), finding.Fail) {
		errs = append(errs, errors.New(r.config.answer.text(f)))
	}
	if len(errs) == 0 {
		return nil
	}
	return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: %w", errors.Join(errs...)), "correct the file in the guest or the block unattend, or turn a rule off with lint")
}
