# Somebody's containers: one that serves on a published port, one that ends and is started again for ever.
docker load --quiet --input /opt/images/user-image.tar
docker run --detach --name web --restart always --publish 9000:80 cai-test-image:1 httpd -f -h /www
docker run --detach --name crash-loop --restart always cai-test-image:1 sh -c 'sleep 2; exit 1'
