#!/usr/bin/env python3
"""Makes examples/debian/debian.jsonl.gz from the full Debian package graph.

    scripts/make_debian_example.py FULL.jsonl[.xz|.gz] [--out DIR]

The example is the part of the full graph that is closed under DependsOn for the
packages named in SEEDS and what these recommend: every dependency of a chosen package is chosen too, so a
traversal along depends_on finds in the example exactly what it finds in the full
graph. Recommends and Suggests are kept where both ends were chosen, and so are the
maintainers of the chosen packages. Lines are copied byte for byte, in the order of
the input, and the compressed file carries no time stamp: the same input gives the
same output.

Ends with the counts, the degrees and the reachability that examples/debian/README.md
states, found by a breadth-first search that shares no code with the product.
"""

import argparse
import collections
import gzip
import json
import lzma
import pathlib
import sys

# What people install by name. `gnome` and `kde-plasma-desktop` bring whole desktops
# along; the rest are the tools, servers, languages and programs that everybody knows.
SEEDS = """
gnome kde-plasma-desktop xfce4 task-gnome-desktop
firefox-esr chromium thunderbird libreoffice gimp inkscape vlc mpv audacity blender
krita darktable obs-studio kdenlive handbrake transmission-gtk qbittorrent pidgin
evolution epiphany-browser keepassxc calibre scribus dia gnucash gparted synaptic
0ad supertuxkart wesnoth minetest openttd nethack-console gnuchess stellarium
bash zsh fish tmux screen vim neovim emacs nano mc less git subversion mercurial
curl wget rsync openssh-server openssh-client gnupg htop btop iotop strace ltrace gdb
valgrind lsof tcpdump nmap wireshark mtr-tiny iperf3 socat netcat-openbsd dnsutils
jq ripgrep fd-find fzf bat tree silversearcher-ag parallel moreutils pv zstd p7zip-full
build-essential gcc g++ clang llvm cmake meson ninja-build make autoconf automake
libtool pkg-config bison flex protobuf-compiler ccache mold
python3 python3-pip python3-venv python3-numpy python3-scipy python3-pandas
python3-matplotlib python3-sklearn python3-requests python3-flask python3-django
python3-sqlalchemy python3-psycopg2 ipython3 jupyter-notebook
nodejs npm ruby ruby-rails perl php php-fpm lua5.4 ghc cabal-install ocaml rustc cargo
golang-go default-jdk maven gradle erlang elixir r-base octave sbcl guile-3.0 tcl
postgresql postgresql-client mariadb-server sqlite3 redis-server memcached
apache2 nginx haproxy varnish squid bind9 unbound dnsmasq postfix exim4 dovecot-imapd
samba nfs-kernel-server openvpn wireguard-tools fail2ban ufw nftables iptables
docker.io podman buildah qemu-system-x86 libvirt-daemon-system virt-manager lxc
ansible puppet vagrant prometheus collectd rsyslog logrotate cron
systemd dbus network-manager cups pulseaudio pipewire wireplumber bluez
linux-image-amd64 grub-efi-amd64 initramfs-tools cryptsetup lvm2 mdadm btrfs-progs
xfsprogs parted smartmontools hdparm
texlive-latex-base texlive-latex-extra texlive-xetex latexmk pandoc asciidoctor
doxygen sphinx-doc python3-sphinx graphviz gnuplot imagemagick ffmpeg sox lame
ghostscript poppler-utils tesseract-ocr libimage-exiftool-perl
apt aptitude dpkg-dev debhelper devscripts lintian pbuilder debootstrap
man-db manpages info locales tzdata ca-certificates sudo adduser
lxqt mate-desktop-environment cinnamon i3 sway awesome openbox lightdm gdm3 sddm
konsole kate okular dolphin gwenview digikam rhythmbox totem cheese shotwell
clementine mixxx ardour lmms musescore3 hydrogen rosegarden easytag picard
freecad openscad kicad librecad qgis josm gpsprune sweethome3d
geany codeblocks kdevelop qtcreator eclipse-titan spyder
hexchat irssi weechat mutt neomutt alpine newsboat lynx w3m links2 filezilla lftp
aria2 yt-dlp youtube-dl mpd ncmpcpp cmus moc feh sxiv zathura ranger mc nnn
frozen-bubble gnome-games freeciv-client-gtk3 hedgewars scummvm dosbox retroarch
stockfish xboard gnubg pingus neverball extremetuxracer warzone2100 teeworlds
ntp chrony snmpd nagios4 icinga2 munin zabbix-server-pgsql monit
gitweb gitolite3 mercurial-common roundcube phpmyadmin wordpress
mediawiki dokuwiki owncloud-client nextcloud-desktop syncthing borgbackup restic
duplicity rdiff-backup rsnapshot bacula-client amanda-client
hashcat john aircrack-ng hydra sqlmap tor
keychain pass age minisign clamav rkhunter chkrootkit lynis apparmor auditd
mosquitto rabbitmq-server kafkacat etcd-server zookeeper
ruby-dev bundler jekyll python3-pytest python3-tk python3-pil python3-lxml
python3-bs4 python3-yaml python3-jinja2 python3-torch python3-opencv
libboost-all-dev qtbase5-dev libgtk-3-dev libgtk-4-dev libssl-dev libcurl4-openssl-dev
libsdl2-dev libopencv-dev libeigen3-dev libpq-dev libsqlite3-dev
""".split()


def open_text(path):
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8", newline="\n")


def choose(lines):
    """SEEDS, what they recommend, all that these depend on, and who maintains it."""
    packages, maintained = set(), {}
    depends, recommended = collections.defaultdict(list), collections.defaultdict(list)
    for line in lines:
        row = json.loads(line)
        if row.get("type") == "Package":
            packages.add(row["data"]["name"])
        elif row.get("edge") == "DependsOn":
            depends[row["from"]].append(row["to"])
        elif row.get("edge") == "Recommends":
            recommended[row["from"]].append(row["to"])
        elif row.get("edge") == "MaintainedBy":
            maintained[row["from"]] = row["to"]
    seeds = [seed for seed in dict.fromkeys(SEEDS) if seed in packages]
    chosen = set(seeds).union(*(recommended[seed] for seed in seeds))
    waiting = sorted(chosen)
    while waiting:
        for dependency in depends[waiting.pop()]:
            if dependency not in chosen:
                chosen.add(dependency)
                waiting.append(dependency)
    maintainers = {maintained[package] for package in chosen if package in maintained}
    return seeds, chosen, maintainers


def keep(row, chosen, maintainers):
    if row.get("type") == "Package":
        return row["data"]["name"] in chosen
    if row.get("type") == "Maintainer":
        return row["data"]["email"] in maintainers
    if row["edge"] == "MaintainedBy":
        return row["from"] in chosen
    return row["from"] in chosen and row["to"] in chosen


def depths(edges, start):
    """Breadth-first: every package reachable from `start` with its least depth."""
    found, ring, depth = {start: 0}, [start], 0
    while ring:
        depth += 1
        ring = sorted({b for a in ring for b in edges.get(a, ()) if b not in found})
        found.update((b, depth) for b in ring)
    del found[start]
    return found


def report(lines, out):
    counts, sections = collections.Counter(), collections.Counter()
    edges, back = collections.defaultdict(list), collections.defaultdict(list)
    for line in lines:
        row = json.loads(line)
        counts[row.get("type") or row["edge"]] += 1
        if row.get("type") == "Package":
            sections[row["data"]["section"]] += 1
        if row.get("edge") == "DependsOn":
            edges[row["from"]].append(row["to"])
            back[row["to"]].append(row["from"])
    most = lambda table: sorted(((len(v), k) for k, v in table.items()), key=lambda x: (-x[0], x[1]))[:5]
    reach = {}
    for start in ("gnome", "firefox-esr", "postgresql", "python3"):
        found = depths(edges, start)
        reach[start] = {"packages": len(found), "depth": max(found.values(), default=0)}
    reach["libc6 (dependants)"] = {"packages": len(f := depths(back, "libc6")), "depth": max(f.values(), default=0)}
    json.dump(
        {
            "counts": dict(sorted(counts.items())),
            "out_degree": [[name, n] for n, name in most(edges)],
            "in_degree": [[name, n] for n, name in most(back)],
            "sections": sections.most_common(5),
            "reach": reach,
        },
        out,
        indent=2,
    )
    out.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("full", type=pathlib.Path, help="the full graph as NDJSON, plain, .xz or .gz")
    default = pathlib.Path(__file__).resolve().parent.parent / "examples" / "debian"
    parser.add_argument("--out", type=pathlib.Path, default=default, help="where the example goes")
    parser.add_argument("--facts", action="store_true", help="only print the figures of FULL itself")
    arguments = parser.parse_args()
    if arguments.facts:
        with open_text(arguments.full) as lines:
            report(lines, sys.stdout)
        return
    with open_text(arguments.full) as lines:
        seeds, chosen, maintainers = choose(lines)
    with open_text(arguments.full) as lines:
        kept = [line for line in lines if keep(json.loads(line), chosen, maintainers)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "debian.jsonl.gz"
    packed = gzip.compress("".join(kept).encode(), compresslevel=9, mtime=0)
    target.write_bytes(packed)
    with open(arguments.out / "facts.json", "w", encoding="utf-8") as out:
        report(kept, out)
    missing = sorted(set(SEEDS) - set(seeds))
    print(f"{len(seeds)} packages chosen by name, {len(chosen)} with their dependencies, {len(kept)} lines")
    print(f"{target}: {len(packed):,} bytes")
    if missing:
        print("not in the full graph:", " ".join(missing), file=sys.stderr)


if __name__ == "__main__":
    main()
