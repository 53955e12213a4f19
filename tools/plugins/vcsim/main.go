// Command vcsim is a simulated vCenter for tests, and tells what becomes of its
// machines. It says its address on the first line of its output, and then a line
// "NAME poweredOn" or "NAME poweredOff" whenever a machine changes; a line "off
// NAME" on its input powers one off, as Windows does when it shuts down. It ends
// with its input. The guest of every machine that runs has the address 127.0.0.1.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	model := simulator.VPX()
	defer model.Remove()
	if err := model.Create(); err != nil {
		return fmt.Errorf("making the inventory: %w", err)
	}
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("user", "pass")}
	server := model.Service.NewServer()
	defer server.Close()
	client, err := govmomi.NewClient(ctx, server.URL, true)
	if err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	fmt.Println(server.URL.Host)
	go tell(ctx, client, model.Service.Context)

	finder := find.NewFinder(client.Client)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		name, ok := strings.CutPrefix(lines.Text(), "off ")
		if !ok {
			return fmt.Errorf("%q is not understood", lines.Text())
		}
		vm, err := finder.VirtualMachine(ctx, "/DC0/vm/"+name)
		if err != nil {
			return fmt.Errorf("finding %s: %w", name, err)
		}
		task, err := vm.PowerOff(ctx)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err) // it may be off already
		}
	}
	return lines.Err()
}

// tell says what changes.
func tell(ctx context.Context, client *govmomi.Client, inventory *simulator.Context) {
	known := map[string]string{}
	for range time.Tick(100 * time.Millisecond) {
		all, err := view.NewManager(client.Client).CreateContainerView(ctx, client.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
		if err != nil {
			return
		}
		var machines []mo.VirtualMachine
		err = all.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name", "runtime.powerState"}, &machines)
		_ = all.Destroy(ctx)
		if err != nil {
			continue // one was removed meanwhile
		}
		for _, vm := range machines {
			if state := string(vm.Runtime.PowerState); known[vm.Name] != state {
				known[vm.Name] = state
				if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
					giveAddress(inventory, vm.Self)
				}
				fmt.Println(vm.Name, state)
			}
		}
	}
}

// giveAddress lets the tools of a guest report an address, which vcsim leaves out.
func giveAddress(inventory *simulator.Context, ref types.ManagedObjectReference) {
	const address = "127.0.0.1"
	vm, ok := inventory.Map.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	inventory.WithLock(vm, func() {
		var cards []types.GuestNicInfo
		for _, device := range object.VirtualDeviceList(vm.Config.Hardware.Device) {
			if card, ok := device.(types.BaseVirtualEthernetCard); ok {
				cards = append(cards, types.GuestNicInfo{
					MacAddress: card.GetVirtualEthernetCard().MacAddress, Connected: true, IpAddress: []string{address},
					IpConfig: &types.NetIpConfigInfo{IpAddress: []types.NetIpConfigInfoIpAddress{{IpAddress: address, PrefixLength: 8, State: "preferred"}}},
				})
			}
		}
		inventory.Update(vm, []types.PropertyChange{{Name: "guest.net", Val: cards}, {Name: "guest.ipAddress", Val: address}, {Name: "summary.guest.ipAddress", Val: address}})
	})
}
