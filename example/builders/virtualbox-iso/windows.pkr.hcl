# Windows in VirtualBox, installed from an ISO and exported as OVF.

packer {
  required_plugins {
    virtualbox = {
      source  = "github.com/hashicorp/virtualbox"
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

source "virtualbox-iso" "windows" {
  iso_url              = var.iso_url
  iso_checksum         = var.iso_checksum
  cd_files             = ["autounattend.xml"]
  guest_os_type        = "Windows2022_64"
  guest_additions_mode = "disable"
  hard_drive_interface = "sata"
  cpus                 = 2
  memory               = 4096
  disk_size            = 61440
  headless             = true
  output_directory     = "output"

  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_timeout  = "2h"

  # The guest is still up after action = "quit".
  shutdown_command = "shutdown /s /t 5 /f"
  shutdown_timeout = "30m"
}

build {
  sources = ["source.virtualbox-iso.windows"]

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
