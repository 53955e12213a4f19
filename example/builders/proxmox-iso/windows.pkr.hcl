# Windows Server on Proxmox VE, as a template whose clones are set up by Cloudbase-Init: it
# runs sysprep with its own answer file.

packer {
  required_plugins {
    proxmox = {
      source  = "github.com/hashicorp/proxmox"
      version = "~> 1.2"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "proxmox_url" {
  type = string
}

variable "proxmox_token_id" {
  type = string
}

variable "proxmox_token" {
  type      = string
  sensitive = true
}

variable "password" {
  type        = string
  sensitive   = true
  description = "Of Administrator, as in autounattend.xml."
}

source "proxmox-iso" "windows" {
  proxmox_url = var.proxmox_url
  username    = var.proxmox_token_id
  token       = var.proxmox_token
  node        = "pve"

  template_name   = "windows-2022"
  os              = "win11"
  bios            = "ovmf"
  machine         = "q35"
  cores           = 2
  memory          = 4096
  qemu_agent      = true
  scsi_controller = "virtio-scsi-single"
  efi_config {
    efi_storage_pool  = "local-lvm"
    efi_type          = "4m"
    pre_enrolled_keys = true
  }
  disks {
    type         = "scsi"
    disk_size    = "60G"
    storage_pool = "local-lvm"
  }
  network_adapters {
    model  = "virtio"
    bridge = "vmbr0"
  }
  boot_iso {
    type     = "sata"
    iso_file = "local:iso/windows-2022.iso"
    unmount  = true
  }
  additional_iso_files {
    type     = "sata"
    iso_file = "local:iso/virtio-win.iso"
    unmount  = true
  }
  additional_iso_files {
    type             = "sata"
    cd_files         = ["autounattend.xml"]
    iso_storage_pool = "local"
    unmount          = true
  }

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"
}

build {
  sources = ["source.proxmox-iso.windows"]

  # Proxmox shuts the guest down before it makes the template.
  provisioner "sysprep" {
    agent         = "cloudbase-init"
    action        = "quit"
    log_directory = "logs"
  }
}
