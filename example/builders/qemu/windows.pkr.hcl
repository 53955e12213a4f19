# Windows Server in QEMU, installed from an ISO, generalized, proven offline, and kept as qcow2.

packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = "~> 1.1"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "iso_url" {
  type = string
}

variable "iso_checksum" {
  type = string
}

variable "password" {
  type        = string
  sensitive   = true
  description = "Of Administrator, as in autounattend.xml."
}

source "qemu" "windows" {
  iso_url          = var.iso_url
  iso_checksum     = var.iso_checksum
  cd_files         = ["autounattend.xml"]
  accelerator      = "kvm"
  machine_type     = "q35"
  cpus             = 2
  memory           = 4096
  disk_interface   = "ide" # Windows has a driver for it; virtio needs one in autounattend.xml
  disk_size        = "60G"
  net_device       = "e1000"
  format           = "qcow2"
  output_directory = "output"
  vm_name          = "windows-2022.qcow2"
  headless         = true

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"

  # The guest is still up after action = "quit".
  shutdown_command = "shutdown /s /t 5 /f"
  shutdown_timeout = "30m"
}

build {
  sources = ["source.qemu.windows"]

  provisioner "sysprep" {
    action        = "quit"
    log_directory = "logs"
    unattend {
      time_zone = "UTC"
      oobe {
        hide_eula_page = true
      }
    }
  }

  post-processor "sysprep-image" {
    output = "golden/windows-2022.qcow2"
    format = "qcow2"
  }
}
