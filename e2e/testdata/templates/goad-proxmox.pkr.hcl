# After Orange-Cyberdefense/GOAD 5948bc0, packer/proxmox/packer.json.pkr.hcl.
# cloudbase-init-p2.ps1, which ran sysprep with cloudbase-init's answer file, is the agent's now.

source "proxmox-iso" "windows" {
  boot_iso {
    type             = "sata"
    index            = "1"
    iso_checksum     = "none"
    iso_storage_pool = "local"
    iso_url          = "windows.iso"
    unmount          = true
  }
  communicator = "winrm"
  cores        = 2
  cpu_type     = "host"
  disks {
    disk_size    = "40G"
    format       = "qcow2"
    storage_pool = "local"
    type         = "sata"
  }
  insecure_skip_tls_verify = true
  memory                   = 4096
  network_adapters {
    bridge = "vmbr3"
    model  = "virtio"
  }
  boot_wait      = "5s"
  boot_command   = ["<enter>"]
  node           = "proxmox"
  os             = "win10"
  password       = "password"
  pool           = "GOAD"
  proxmox_url    = "https://proxmox.example:8006/api2/json"
  sockets        = 1
  template_name  = "WinServer2019x64-cloudinit-qcow2"
  username       = "user@pve"
  vm_name        = "WinServer2019x64-cloudinit-qcow2"
  winrm_insecure = true
  winrm_no_proxy = true
  winrm_password = "vagrant"
  winrm_timeout  = "120m"
  winrm_use_ssl  = true
  winrm_username = "vagrant"
  task_timeout   = "40m"
}

build {
  sources = ["source.proxmox-iso.windows"]

  provisioner "sysprep" {
    agent  = "cloudbase-init"
    action = "quit"
  }
}
