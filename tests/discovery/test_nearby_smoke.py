import time, random
from tests.discovery.places import *
from tests.profiles.people import make_user
from sqlalchemy import event
def test_perf(api):
    g=(31.2304,121.4737); random.seed(3)
    now=datetime.now().astimezone()
    us=[make_user(api,gender=i%2+1) for i in range(120)]
    for u in us: set_place(api,u,moved(g,north_m=random.uniform(-4000,4000),east_m=random.uniform(-4000,4000)),now)
    goes_to(api,us[0],g)
    n=[0]
    event.listen(api.parts.database.engine,"before_cursor_execute",lambda *a: n.__setitem__(0,n[0]+1))
    for path in ("/api/user/nearby/list","/api/user/show","/api/user/search","/api/auth/sessions"):
        api.get(path,us[0]).data
        n[0]=0
        t=time.process_time(); w=time.perf_counter()
        for _ in range(100): api.get(path,us[0])
        print(path,(time.process_time()-t)*10,"ms cpu",(time.perf_counter()-w)*10,"ms", n[0]/100,"statements")
    import cProfile,pstats
    pr=cProfile.Profile(); pr.enable()
    for _ in range(200): api.get("/api/user/nearby/list",us[0])
    pr.disable(); pstats.Stats(pr).sort_stats("cumtime").print_stats(60)
