# Windows Server in VMware Workstation or Fusion, installed from an ISO.

packer {
  required_plugins {
    vmware = {
      source  = "github.com/hashicorp/vmware"
      version = "~> 1.0"
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

source "vmware-iso" "windows" {
  iso_url           = var.iso_url
  iso_checksum      = var.iso_checksum
  cd_files          = ["autounattend.xml"]
  guest_os_type     = "windows2019srvnext-64"
  disk_adapter_type = "lsisas1068"
  cpus              = 2
  memory            = 4096
  disk_size         = 61440
  headless          = true
  vm_name           = "windows-2022"
  output_directory  = "output"

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"

  # The guest is still up after action = "quit".
  shutdown_command = "shutdown /s /t 5 /f"
  shutdown_timeout = "30m"
}

build {
  sources = ["source.vmware-iso.windows"]

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
}
