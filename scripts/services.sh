#!/bin/sh
# The database servers that the tests start: services.sh report | install.
#
# The tests run servers of their own, on ports and folders of their own; what is
# installed here is only the programs, and nothing of it is left running.
set -eu

any() { # whether one of the paths exists or is a program
    for candidate in "$@"; do
        if [ -e "$candidate" ] || command -v "$candidate" >/dev/null; then return 0; fi
    done
    return 1
}

has() {
    case $1 in
    PostgreSQL) any pg_ctl /usr/lib/postgresql/*/bin/pg_ctl ;;
    PostGIS) any /usr/share/postgresql/*/extension/postgis.control "$(pg_config --sharedir 2>/dev/null)/extension/postgis.control" ;;
    MariaDB) any mariadbd mysqld /usr/sbin/mariadbd /usr/sbin/mysqld ;;
    PgBouncer) any pgbouncer /usr/sbin/pgbouncer ;;
    SpatiaLite) any /usr/lib/*/mod_spatialite.so /usr/lib*/mod_spatialite.so /usr/local/lib/mod_spatialite.* /opt/homebrew/lib/mod_spatialite.* ;;
    # What mysqlclient, Django's driver, is compiled against, and what django.contrib.gis loads.
    MariaDB-client-library) any mariadb_config mysql_config ;;
    GDAL) any /usr/lib/*/libgdal.so* /usr/lib*/libgdal.so* /usr/local/lib/libgdal.* /opt/homebrew/lib/libgdal.* ;;
    # The browser of examples/browser_test.
    Chromium) any chromium-headless-shell chromium chromium-browser google-chrome ;;
    esac
}

package() { # Debian's name
    case $1 in
    PostgreSQL) echo postgresql ;;
    PostGIS)
        # For the server that is there, which need not be Debian's own version.
        for folder in /usr/lib/postgresql/*/bin; do version=$(basename "${folder%/bin}"); done
        if [ "$version" = "*" ]; then echo postgresql-postgis; else echo "postgresql-$version-postgis-3"; fi
        ;;
    MariaDB) echo mariadb-server ;;
    PgBouncer) echo pgbouncer ;;
    SpatiaLite) echo libsqlite3-mod-spatialite ;;
    MariaDB-client-library) echo libmariadb-dev gcc pkg-config ;;
    GDAL) echo gdal-bin ;;
    Chromium) echo chromium-headless-shell ;;
    esac
}

missing() {
    for service in PostgreSQL PostGIS MariaDB PgBouncer SpatiaLite MariaDB-client-library GDAL Chromium; do
        has "$service" || echo "$service"
    done
}

report() {
    absent=$(missing)
    [ -n "$absent" ] || return 0
    echo "!!! NOT ON THIS MACHINE: $(echo $absent): what needs them is not tested (make services installs them)" >&2
    [ "${BACKEND_SDK_REQUIRE_SERVICES:-}" != 1 ]
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# While this says no, Debian's packages do not start their servers. One that is there already is left alone.
POLICY=/usr/sbin/policy-rc.d
hold_servers() {
    if [ ! -e "$POLICY" ]; then
        trap 'as_root rm -f "$POLICY"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
        as_root chmod +x "$POLICY"
    fi
}

install() {
    absent=$(missing)
    if [ -z "$absent" ]; then
        echo "All services are installed."
        return 0
    fi
    packages=$(for service in $absent; do package "$service"; done)
    if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
        echo "!!! Cannot install here; please install:" $absent "(Debian:" $packages")" >&2
        return 1
    fi
    echo "Installing" $packages "..."
    hold_servers
    apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null; }
    apt update
    apt install --yes --no-install-recommends $packages
    absent=$(missing)
    if [ -n "$absent" ]; then
        echo "!!! Installed, and still not found:" $absent >&2
        return 1
    fi
}

case ${1:-} in
report) report ;;
install) install ;;
*)
    echo "usage: services.sh report | install" >&2
    exit 2
    ;;
esac
