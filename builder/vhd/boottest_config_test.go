package vhd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheBlockOfABootTest(t *testing.T) {
	block := func(pairs ...any) map[string]any {
		b := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			b[pairs[i].(string)] = pairs[i+1]
		}
		return map[string]any{"boot_test": b}
	}
	for name, c := range map[string]struct {
		options map[string]any
		wrong   string // empty: nothing is
	}{
		"empty":                           {block(), ""},
		"off":                             {block("enabled", false, "reach", "x"), ""},
		"not there":                       {map[string]any{"boot_test": nil}, ""},
		"a reach":                         {block("reach", "login"), `boot_test.reach: "login" is not one of`},
		"what a failure does":             {block("on_failure", "ignore"), `boot_test.on_failure: "ignore" is not one of`},
		"a negative limit":                {block("oobe_timeout", "-1s"), `boot_test.oobe_timeout: -1s is negative; write a duration such as "30m0s"`},
		"over SSH":                        {block("communicator", "ssh"), `boot_test.communicator: "ssh" is not one of`},
		"an account for nothing":          {block("winrm_username", "x"), "boot_test.winrm_username, winrm_password: only used with communicator"},
		"WinRM in OOBE":                   {block("communicator", "winrm", "reach", "oobe"), "boot_test.communicator: WinRM is asked when Windows Setup is over"},
		"WinRM, with the build's account": {block("communicator", "winrm"), ""},
		"not proven":                      {map[string]any{"boot_test": map[string]any{}, "verify": map[string]any{"enabled": false}}, "boot_test: an image that is not proven is not booted"},
		"a folder that cannot be":         {block("log_directory", filepath.Join("boottest.go", "logs")), "boot_test.log_directory: "},
		"a folder not known yet":          {block("log_directory", "<unknown>"), ""},
	} {
		var config Config
		_, err := config.prepare(valid(t, c.options))
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v", name, err)
		}
	}
	var config Config
	if _, err := config.prepare(valid(t, map[string]any{"output_directory": "out", "boot_test": map[string]any{"communicator": "winrm", "timeout": "2h"}})); err != nil {
		t.Fatal(err)
	}
	b := config.BootTest
	if b.Reach != "auto" || b.OnFailure != "fail" || b.Timeout != 2*time.Hour || b.StartTimeout != 10*time.Minute || b.WinRMUser != "Administrator" || b.WinRMPassword != "secret" || b.LogDirectory != "out-boot-test" {
		t.Errorf("%+v", *b)
	}
	if other := config.clone(); other.guard == config.guard || other.Comm.WinRMPort != 5985 || other.Comm.Type != "winrm" {
		t.Errorf("%+v", other.Comm)
	}
	config = Config{}
	if _, err := config.prepare(valid(t, nil)); err != nil || config.BootTest.wanted() {
		t.Errorf("without the block: %v, %v", err, config.BootTest)
	}
	config = Config{}
	_, err := config.prepare(existingMachine(t, map[string]any{"boot_test": map[string]any{"reach": "nowhere"}}))
	if err == nil || !strings.Contains(err.Error(), `boot_test: only valid with hypervisor = "qemu"`) {
		t.Errorf("an existing machine: %v", err)
	}
}
